"""The core: what every script has without loading a module.

One mixin a subject, each in its own file; `Core` is all of them.
"""

from __future__ import annotations

from ...exports import Module
from ...script.signatures import TransformationSignature
from ...services import Services
from . import transformations
from .blacklists import CoreBlacklists
from .cache import CoreCache
from .commands import CoreCommands
from .events import CoreEvents
from .functions import ScriptFunctions
from .memory import CoreMemory
from .message_branches import MessageBranches
from .message_functions import MessageFunctions
from .message_variables import MessageVariables
from .sdp_variables import SdpVariables
from .sip_functions import SipFunctions
from .start_variables import StartVariables
from .statistics import CoreStatistics
from .status_report import CoreStatusReport
from .tcp import CoreTcp
from .variables import ScriptVariables


# Exports are collected from the last base to the first; `which` shows the commands in that order.
class Core(
    CoreBlacklists,
    CoreEvents,
    CoreStatusReport,
    CoreCache,
    CoreMemory,
    CoreTcp,
    CoreCommands,
    CoreStatistics,
    ScriptVariables,
    StartVariables,
    ScriptFunctions,
    MessageVariables,
    MessageFunctions,
    MessageBranches,
    SdpVariables,
    SipFunctions,
    Module,
):
    """Variables, functions, transformations and MI commands that are always there."""

    name = "core"
    transformations = (*transformations.TRANSFORMATIONS.values(), TransformationSignature("s", "eval"))

    def __init__(self, services: Services) -> None:
        self.flag_numbers: dict[str, int] = {}
        super().__init__(services)
