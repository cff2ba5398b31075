"""Who may call which MI command: the presets `open` and `read-only`, and policy files.

A policy file is TOML:

```toml
hosts = ["mi.example.com"]                        # HTTP: the only Host values that are answered

[roles.operator]
commands = ["ds_*", "dr_*", "get_statistics"]     # globs over canonical names (`dispatcher:list`) and old names
[roles.viewer]
read_only = true                                  # with `commands`: those of them that only read

[[allow]]                                         # every condition of a rule must hold
role = "operator"
door = "mi_http"                                  # or a list; so are address, user
token_sha256 = "…"                                # sha256sum of the bearer token
[[allow]]
role = "viewer"
address = "10.0.0.0/8"
[[allow]]
role = "operator"
user = "opensips"                                 # UNIX user, or login of basic authentication
password_sha256 = "…"                             # HTTP: makes the login known

[mask]
parameters = ["password", "secret", "ha1"]        # never written to the audit
```

A peer may do what any rule that fits it allows; where none fits it may do nothing.  Secrets are compared in constant
time.  A mistake in the file is a `ConfigurationError` that names the line: a policy is never half used.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, NoReturn, TypeAlias

from ..errors import ConfigurationError, MIError
from ..late_pattern import late_pattern
from .audit import ALWAYS_MASKED
from .command import Command
from .jsonrpc import FORBIDDEN, Request
from .origin import Identity, Origin

FILE: Final = "the file"
"""What messages call the part of a policy file that is in no table."""

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAX_KNOWN_PEERS: Final = 1024

MAX_SIZE: Final = 1024 * 1024
"""Characters that a policy file may have."""


@dataclass(frozen=True, slots=True)
class Role:
    """A set of commands: those that `commands` name (all without), only reading ones with `read_only`."""

    name: str
    commands: tuple[str, ...] = ()
    read_only: bool = False

    def allows(self, command: Command) -> bool:
        """Whether the role holds `command`."""
        if self.read_only and not command.read_only:
            return False
        names = (command.full, *command.aliases)
        return not self.commands or any(fnmatchcase(name, glob) for glob in self.commands for name in names)


@dataclass(frozen=True, slots=True)
class Rule:
    """A role for the peers that meet all of the conditions; an empty one is met by everyone."""

    role: Role
    doors: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    users: tuple[str, ...] = ()
    token: bytes = b""
    password: bytes = b""

    def fits(self, origin: Origin) -> bool:
        """Whether the peer of `origin` meets the conditions."""
        return (
            (not self.doors or origin.door in self.doors)
            and (not self.networks or _within(origin, self.networks))
            and (not self.users or origin.identity.user in self.users)
            and (not self.token or hmac.compare_digest(self.token, origin.identity.token))
            and (not self.password or hmac.compare_digest(self.password, origin.identity.password))
        )


EVERYTHING: Final = Role("open")
READING: Final = Role("read-only", read_only=True)


@dataclass(slots=True)
class Policy:
    """What peers may do; one object for all peers of a door.  It is the door's `Guard`."""

    rules: tuple[Rule, ...]
    hosts: frozenset[str] = frozenset()
    masked: frozenset[str] = ALWAYS_MASKED
    _roles: dict[tuple[str, str, Identity], tuple[Role, ...]] = field(default_factory=dict, repr=False)

    def check(self, command: Command, request: Request, origin: Origin) -> None:
        """Return if the peer may run `command`; raises `MIError` -32003 `Forbidden` with the rule in `data`."""
        roles = self.roles(origin)
        if any(role.allows(command) for role in roles):
            return
        if not roles:
            reason = "no rule of the policy fits this peer"
        else:
            names = ", ".join(f"'{role.name}'" for role in roles)
            reason = f"the policy gives this peer the role {names}, which does not hold '{command.full}'"
        raise MIError(FORBIDDEN, "Forbidden", reason)

    def roles(self, origin: Origin) -> tuple[Role, ...]:
        """The roles of a peer."""
        peer = (origin.door, origin.source[0] if origin.has_address else "", origin.identity)
        roles = self._roles.get(peer)
        if roles is None:
            if len(self._roles) >= _MAX_KNOWN_PEERS:
                self._roles.clear()
            found = (rule.role for rule in self.rules if rule.fits(origin))
            roles = self._roles[peer] = tuple(dict.fromkeys(found))
        return roles

    def knows_login(self, user: str, password: bytes) -> bool:
        """Whether a rule has this login with this password (its SHA-256)."""
        found = [
            hmac.compare_digest(rule.password, password) for rule in self.rules if rule.password and user in rule.users
        ]
        return any(found)


READ_ONLY: Final = Policy((Rule(READING),))


def parse_policy(text: str) -> Policy:
    """The policy in the TOML `text`.  Raises ConfigurationError, which begins with the line of the mistake."""
    import tomllib  # few hosts have a policy

    if len(text) > MAX_SIZE:
        raise ConfigurationError(f"it has more than {MAX_SIZE} characters", parameter="policy")
    try:
        return _policy(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        reason, line = _toml_mistake(str(error), text)
        raise ConfigurationError(f"line {line}: it is no TOML: {reason}", parameter="policy") from None
    except RecursionError:
        raise ConfigurationError("it is nested too deeply", parameter="policy") from None
    except _Mistake as error:
        line = _line_of(error, text)
        raise ConfigurationError(f"line {line}: {error}" if line else str(error), parameter="policy") from None


def _policy(document: Mapping[str, object]) -> Policy:
    _only(document, ("roles", "allow", "mask", "hosts"), FILE)
    roles = {name: _role(name, value) for name, value in _table(document.get("roles", {}), "roles").items()}
    allow = document.get("allow", [])
    if not isinstance(allow, list):
        _wrong("allow", "'allow' must be written [[allow]]")
    mask = _table(document.get("mask", {}), "mask")
    _only(mask, ("parameters",), "mask")
    return Policy(
        tuple(_rule(value, roles, f"allow number {number}") for number, value in enumerate(allow, 1)),
        frozenset(host.lower() for host in _texts(document, "hosts", FILE)),
        ALWAYS_MASKED | frozenset(name.lower() for name in _texts(mask, "parameters", "mask")),
    )


def _within(origin: Origin, networks: tuple[Network, ...]) -> bool:
    if not origin.has_address:
        return False
    try:
        address = ipaddress.ip_address(origin.source[0].partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # an IPv4 client of a socket for both families
    return any((mapped or address) in network for network in networks)


# -- reading the file -----------------------------------------------------------------------------------------


def _role(name: str, value: object) -> Role:
    where = f"roles.{name}"
    table = _table(value, where)
    _only(table, ("commands", "read_only"), where)
    read_only = table.get("read_only", False)
    if not isinstance(read_only, bool):
        _wrong(where, "'read_only' must be true or false")
    commands = _texts(table, "commands", where)
    if not commands and not read_only:
        _wrong(where, "it holds no command; give it 'commands' or 'read_only = true'")
    return Role(name, commands, read_only)


_RULE_KEYS: Final = ("role", "door", "address", "user", "token_sha256", "password_sha256")


def _rule(value: object, roles: Mapping[str, Role], where: str) -> Rule:
    table = _table(value, where)
    _only(table, _RULE_KEYS, where)
    role = table.get("role")
    if not isinstance(role, str) or role not in roles:
        _wrong(where, f"there is no role '{role}'; expected one of [{', '.join(roles)}]")
    users, password = _texts(table, "user", where), _digest(table, "password_sha256", where)
    if password and not users:
        _wrong(where, "'password_sha256' needs a 'user'")
    return Rule(
        roles[role],
        _texts(table, "door", where),
        tuple(_network(text, where) for text in _texts(table, "address", where)),
        users,
        _digest(table, "token_sha256", where),
        password,
    )


def _network(text: str, where: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        _wrong(where, f"'address': {error}; expected an address or a network like 10.0.0.0/8")


def _digest(table: Mapping[str, object], key: str, where: str) -> bytes:
    value = table.get(key, "")
    if key not in table:
        return b""
    try:
        digest = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        digest = b""
    if len(digest) != 32:
        _wrong(where, f"'{key}' must be a SHA-256 sum, 64 hexadecimal digits")
    return digest


def _texts(table: Mapping[str, object], key: str, where: str) -> tuple[str, ...]:
    """A text or a list of texts, none of them empty; nothing if the key is not there."""
    value = table.get(key, [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        _wrong(where, f"'{key}' must be a text or a list of texts")
    if key in table and not texts:
        _wrong(where, f"'{key}' is empty")
    return tuple(texts)


def _table(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        _wrong(where, f"'{where}' must be a table")
    return value


def _only(table: Mapping[str, object], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            _wrong(where, f"'{key}' is unknown; expected one of [{', '.join(known)}]")


def _wrong(where: str, reason: str) -> NoReturn:
    raise _Mistake(where, reason)


# -- where a mistake stands -----------------------------------------------------------------------------------


class _Mistake(Exception):
    """`where` is the table that is at fault, as the messages call it; what `reason` quotes first may be a key of it."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.key = reason.partition("'")[2].partition("'")[0]


_PLACE: Final = late_pattern(r"(?P<reason>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)", re.DOTALL)


def _toml_mistake(message: str, text: str) -> tuple[str, int]:
    """What is wrong, and its line: the last one where the text ended too early."""
    place = _PLACE.fullmatch(message)
    if place is None:
        return message, 1
    return place["reason"], int(place["line"] or text.count("\n", 0, len(text.rstrip())) + 1)


def _line_of(mistake: _Mistake, text: str) -> int:
    """The line of the key that is at fault, or of the header of its table; 0 where neither is found."""
    table, rules, found = FILE, 0, 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("["):
            table = re.sub(r"[\s\"'\[]", "", line.partition("]")[0])
            if table == "allow":
                rules += 1
                table = f"allow number {rules}"
            if table == mistake.where:
                found = number
        elif table == mistake.where and mistake.key and line.partition("=")[0].strip() == mistake.key:
            return number
    return found
