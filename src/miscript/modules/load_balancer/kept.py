"""What calls count for, kept with their dialogs in a database: after a restart the loads are what they were.

Source: OpenSIPS manual, module load_balancer, "How it works" (the load is that of the dialogs).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Final

from ...sip.dialogs import Dialog
from .balancer import KEY, Call, Session
from .destinations import MAX_RESOURCES, Loads, Wishes

MAX_COUNTED: Final = 1000
"""What one call may be counted for, as it is read."""


class LoadPart:
    """The `miscript.dialog_service.DialogPart` of this module: reading a dialog adds its loads."""

    def __init__(self, loads: Loads) -> None:
        self._loads = loads

    def written(self, dialog: Dialog) -> str | None:
        call = dialog.data.get(KEY)
        return call_text(call) if isinstance(call, Call) and (call.session or call.counted) else None

    def read(self, dialog: Dialog, text: str) -> None:
        """Raises ValueError for a text that is no call; it counts for nothing then."""
        dialog.data[KEY] = call = call_of(text)
        for id, resources in call.used:
            self._loads.add(id, resources)


def call_text(call: Call) -> str:
    """A call as text."""
    session = call.session
    told = {
        "session": session
        and {
            "group": session.group,
            "resources": session.resources,
            "wishes": asdict(session.wishes),
            "tried": session.tried,
            "current": session.current,
        },
        "counted": call.counted,
    }
    return json.dumps(told, separators=(",", ":"))


def call_of(text: str) -> Call:
    """The call of a text that `call_text` made.  Raises ValueError for any other text."""
    try:
        told = json.loads(text)
        session, counted = told["session"], told["counted"]
        if len(counted) > MAX_COUNTED:
            raise ValueError(f"the call is counted {len(counted)} times, expected {MAX_COUNTED} at the most")
        return Call(
            None if session is None else _session(session),
            [(_number(id), _resources(resources)) for id, resources in counted],
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"this is no call: {error!r}") from error


def _session(told: dict[str, object]) -> Session:
    wishes, tried, current = told["wishes"], told["tried"], told["current"]
    if not isinstance(wishes, dict) or not isinstance(tried, list):
        raise ValueError("a session has its wishes, and a list of the destinations that were tried")
    return Session(
        _number(told["group"]),
        _resources(told["resources"]),
        Wishes(**{str(name): bool(value) for name, value in wishes.items()}),
        [_number(id) for id in tried],
        None if current is None else _number(current),
    )


def _number(value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no number")
    return value


def _resources(value: object) -> tuple[str, ...]:
    if not isinstance(value, Iterable) or isinstance(value, str | dict):
        raise ValueError(f"{value!r} are no resources")
    names = tuple(value)
    if len(names) > MAX_RESOURCES or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{value!r} are no resources")
    return names
