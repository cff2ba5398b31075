"""The core: what every script has without loading a module.

One mixin a subject, each in its own file; `Core` is all of them.
"""

from __future__ import annotations

from ...exports import Module
from ...script.signatures import TransformationSignature
from ...services import Services
from . import transformations
from .functions import ScriptFunctions
from .variables import ScriptVariables


class Core(ScriptVariables, ScriptFunctions, Module):
    """Variables, functions, transformations and MI commands that are always there."""

    name = "core"
    transformations = (*transformations.TRANSFORMATIONS.values(), TransformationSignature("s", "eval"))

    def __init__(self, services: Services) -> None:
        self.flag_numbers: dict[str, int] = {}
        super().__init__(services)
