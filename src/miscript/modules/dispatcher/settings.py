"""What the parameters of module dispatcher say: partitions, AVPs, reply codes, lists of sets.

A partition is `name: key = value; key = value`; what it leaves out it has from the parameters of the module, which
are those of the partition `default`.

Source: OpenSIPS manual, module dispatcher, "Exported Parameters".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ...blacklist_service import named_numbers
from ...errors import ConfigurationError
from ...variable_spec import VariableSpec

DEFAULT: Final = "default"
_NAME = re.compile(r"[A-Za-z0-9_.-]+")

KEYS: Final = {
    "db_url": "db_url",
    "table_name": "table_name",
    "dst_avp": "dst_avp",
    "grp_avp": "grp_avp",
    "cnt_avp": "cnt_avp",
    "sock_avp": "sock_avp",
    "attrs_avp": "attrs_avp",
    "script_attrs": "script_attrs_avp",
    "script_attrs_avp": "script_attrs_avp",
    "ds_define_blacklist": "blacklists",
    "ping_from": "ping_from",
    "ping_method": "ping_method",
    "persistent_state": "persistent_state",
}
"""What a partition may set, in the words of the manual, and what it is called here."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One partition as the parameters describe it; empty texts stand for nothing."""

    name: str
    db_url: str = ""
    table_name: str = "dispatcher"
    dst_avp: str = ""
    grp_avp: str = ""
    cnt_avp: str = ""
    sock_avp: str = ""
    attrs_avp: str = ""
    script_attrs_avp: str = ""
    blacklists: tuple[tuple[str, frozenset[int]], ...] = ()
    ping_from: str = "sip:dispatcher@localhost"
    ping_method: str = "OPTIONS"
    persistent_state: bool = True


@dataclass(frozen=True, slots=True)
class Avps:
    """The names of the AVPs of a partition: what `ds_next_dst` goes through, and what the script is told."""

    destinations: str
    set_id: str
    count: str
    sockets: str
    attributes: str | None
    script_attributes: str | None

    @property
    def lists(self) -> tuple[str, ...]:
        """Those that have a value for each destination."""
        told = (self.attributes, self.script_attributes)
        return (self.destinations, self.sockets, *(name for name in told if name is not None))

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.lists, self.set_id, self.count)


def avps_of(settings: Settings) -> Avps:
    """The AVPs of a partition.  Raises ConfigurationError for a parameter that names none."""
    suffix = "" if settings.name == DEFAULT else f"_{settings.name}"
    return Avps(
        _avp("dst_avp", settings.dst_avp) or f"ds_dst_failover{suffix}",
        _avp("grp_avp", settings.grp_avp) or f"ds_grp_failover{suffix}",
        _avp("cnt_avp", settings.cnt_avp) or f"ds_cnt_failover{suffix}",
        _avp("sock_avp", settings.sock_avp) or f"ds_sock_failover{suffix}",
        _avp("attrs_avp", settings.attrs_avp),
        _avp("script_attrs_avp", settings.script_attrs_avp),
    )


def _avp(parameter: str, text: str) -> str | None:
    if not text:
        return None
    try:
        return VariableSpec.parse_avp(text).name
    except ValueError as error:
        raise ConfigurationError(f"{parameter}: {error}", parameter=parameter) from error


def partitions(default: Settings | None, lines: Sequence[str]) -> list[Settings]:
    """All partitions: those of the `partition` lines in their order, then `default` where there is one.

    `default` is what the parameters of the module describe, None when none of them is set.  A line `default: NAME`
    makes another partition the default one.  Raises ConfigurationError.
    """
    found: dict[str, Settings] = {}
    alias: str | None = None
    for line in lines:
        name, colon, rest = (part.strip() for part in line.partition(":"))
        if not colon or _NAME.fullmatch(name) is None:
            raise _wrong(f"expected 'name: key = value; ...', found '{line}'")
        if name == DEFAULT and _NAME.fullmatch(rest):
            alias = rest
            continue
        start = found.get(name) or _start(name, default)
        found[name] = _changed(start, rest)
    if alias is not None:
        if alias not in found:
            raise _wrong(f"partition '{alias}', which is to be the default one, is not defined")
        found = {DEFAULT if name == alias else name: each for name, each in found.items()}
        found[DEFAULT] = replace(found[DEFAULT], name=DEFAULT)
    elif default is not None:
        found.setdefault(DEFAULT, default)
    ordered = [each for name, each in found.items() if name != DEFAULT]
    return [*ordered, found[DEFAULT]] if DEFAULT in found else ordered


def _start(name: str, default: Settings | None) -> Settings:
    """What a partition is before its own line: as the default one, but with AVPs and blacklists of its own."""
    if default is None:
        return Settings(name)
    if name == DEFAULT:
        return default
    return replace(default, name=name, dst_avp="", grp_avp="", cnt_avp="", sock_avp="", blacklists=())


def _changed(start: Settings, text: str) -> Settings:
    """A partition with what its own line says."""
    for part in filter(str.strip, text.split(";")):
        key, sign, value = (each.strip() for each in part.partition("="))
        if not sign or key not in KEYS:
            raise _wrong(f"partition '{start.name}' has no '{key}'; expected one of {', '.join(KEYS)}")
        if KEYS[key] == "blacklists":
            start = replace(start, blacklists=(*start.blacklists, named_numbers(value, "ds_define_blacklist")))
        elif KEYS[key] != "persistent_state":
            text_fields: dict[str, Any] = {KEYS[key]: value}
            start = replace(start, **text_fields)
        elif value in ("0", "1"):
            start = replace(start, persistent_state=value == "1")
        else:
            raise _wrong(f"partition '{start.name}': persistent_state must be 0 or 1")
    return start


def _wrong(message: str) -> ConfigurationError:
    return ConfigurationError(message, parameter="partition")
