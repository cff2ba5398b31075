"""Dialogs as MI and scripts see them: the object of `dlg_list`, and the text of `$DLG_json`.

Source: observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import re
import time
from typing import Final

import orjson

from ...sip.dialogs import Dialog, DialogState, Leg
from ...values import Value, decode, encode, plain_text

_DATE: Final = "%Y-%m-%d %H:%M:%S"
_NOT_PRINTABLE: Final = re.compile(rb"[^\x20-\x7e]")
_LETTERS: Final = {b"\b": rb"\b", b"\t": rb"\t", b"\n": rb"\n", b"\f": rb"\f", b"\r": rb"\r"}


def shown(dialog: Dialog, *, context: bool = False) -> dict[str, object]:
    """What `dlg_list` tells of a dialog, with `context` what `dlg_list_ctx` does."""
    told: dict[str, object] = {
        "ID": dialog.did,
        "db_id": str(dialog.id.as_number),
        "state": int(dialog.state),
        "user_flags": flags_text(dialog),
        **_time("timestart", "datestart", dialog.started),
        **_time("timeout", "dateout", _ends(dialog)),
        "callid": dialog.call_id,
        "from_uri": dialog.from_uri,
        "to_uri": dialog.to_uri,
        "caller_tag": dialog.caller.tag,
        "caller_contact": dialog.caller.contact,
        "callee_cseq": str(dialog.caller.cseq),
        "caller_route_set": _routes(dialog.caller),
        "caller_bind_addr": _socket(dialog.caller),
    }
    if dialog.caller.sdp:
        told["caller_sdp"] = decode(dialog.caller.sdp)
    told["CALLEES"] = [_callee(leg) for leg in dialog.callees]
    if context:
        told["context"] = _context(dialog)
    return told


def _context(dialog: Dialog) -> dict[str, object]:
    """The values and profiles of a dialog, the newest first, as far as there are any."""
    told: dict[str, object] = {}
    if dialog.values:
        told["values"] = [{name: _escaped(value)} for name, value in reversed(dialog.values.items())]
    if dialog.profiles:
        told["profiles"] = [{name: value} for name, value in reversed(dialog.profiles)]
    return told


def _escaped(value: Value) -> object:
    """A value with its bytes that cannot be printed in hexadecimal (`\\x00`), as binary values may stand in dialogs."""
    if not isinstance(value, str):
        return _plain(value)
    return _NOT_PRINTABLE.sub(
        lambda found: _LETTERS.get(found[0], f"\\x{found[0][0]:02x}".encode()), encode(value)
    ).decode()


def _callee(leg: Leg) -> dict[str, object]:
    told: dict[str, object] = {
        "callee_tag": leg.tag,
        "callee_contact": leg.contact,
        "caller_cseq": str(leg.cseq),
        "callee_route_set": _routes(leg),
        "callee_bind_addr": _socket(leg),
    }
    if leg.sdp:
        told["callee_sdp"] = decode(leg.sdp)
    return told


def json_text(dialog: Dialog, *, context: bool = False) -> str:
    """`$DLG_json`, with `context` `$DLG_ctx_json`."""
    told: dict[str, object] = {
        "ID": str(dialog.id.as_number),
        "state": str(int(dialog.state)),
        "user_flags": flags_text(dialog),
        "callid": dialog.call_id,
        "timestart": str(int(dialog.started)),
        "timeout": str(int(_ends(dialog))),
        "from_uri": dialog.from_uri,
        "to_uri": dialog.to_uri,
        "caller": _leg(dialog.caller),
        "callees": [_leg(leg) for leg in dialog.callees],
    }
    if context:
        if dialog.values:
            told["values"] = {name: _plain(value) for name, value in reversed(dialog.values.items())}
        profiles: dict[str, list[str]] = {}
        for name, value in reversed(dialog.profiles):
            profiles.setdefault(name, []).append(value)
        if profiles:
            told["profiles"] = profiles
    return orjson.dumps(_without_raw_bytes(told)).decode()


def _leg(leg: Leg) -> dict[str, object]:
    return {
        "tag": leg.tag,
        "contact": leg.contact,
        "cseq": str(leg.cseq),
        "route_set": _routes(leg),
        "bind_addr": _socket(leg),
        "sdp": "",
    }


def flags_text(dialog: Dialog) -> str:
    """`$DLG_flags`: the names, the newest first."""
    return " ".join(reversed(dialog.flags))


def _ends(dialog: Dialog) -> float:
    return dialog.ends if dialog.started and dialog.state is not DialogState.DELETED else 0


def _time(name: str, date_name: str, seconds: float) -> dict[str, object]:
    """Seconds since the epoch, and the local date where there are any."""
    if not seconds:
        return {name: 0}
    return {name: int(seconds), date_name: time.strftime(_DATE, time.localtime(seconds))}


def _routes(leg: Leg) -> str:
    return ",".join(leg.routes)


def _socket(leg: Leg) -> str:
    return "" if leg.socket is None else str(leg.socket)


def _plain(value: Value) -> object:
    return value if value is None or type(value) in (int, str) else plain_text(value)


def _without_raw_bytes(told: object) -> object:
    """JSON has no place for bytes that are no UTF-8: they become U+FFFD."""
    match told:
        case str():
            return told.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        case dict():
            return {_without_raw_bytes(name): _without_raw_bytes(value) for name, value in told.items()}
        case list():
            return [_without_raw_bytes(value) for value in told]
    return told
