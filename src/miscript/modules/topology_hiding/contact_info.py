"""What is hidden in a Contact of ours where there is no dialog to keep it: the way to the end that it stands for.

A `Way` is written as lines, made smaller in the compact layout, encrypted, and put into a parameter of the URI.  What
comes back is only taken when it was made with a password of ours: somebody else can neither read nor make one, so that
nobody is sent where he wants.

Source: OpenSIPS manual, module topology_hiding (`th_contact_encode_param_password`, `th_contact_encode_scheme`).
The form is our own: OpenSIPS does not document its own, and does not protect it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...errors import ConfigurationError
from ...sip.sealing import Sealing
from ...values import decode, encode
from .words import from_base32, from_base64, to_base32, to_base64

DEFAULT_PASSWORD: Final = "ToPoCtPaSS"
DEFAULT_PARAMETER: Final = "thinfo"
MAX_PARAMETERS: Final = 2
"""How many parameters with their passwords there may be."""

MAX_TEXT: Final = 4096
"""Characters of the longest value of a parameter."""

MAX_DATA: Final = 16384
"""Bytes of a way when it is not made smaller any more."""

MAX_ROUTES: Final = 64

_COMPACT, _LONG = b"C", b"L"
_COMMON: Final = (
    b"udp:127.0.0.1:5060\nudp:192.168.1.1:5060\n;transport=tcp\n;transport=udp\n<sip:10.0.0.1:5060;lr>\n<sip:"
)


@dataclass(frozen=True, slots=True)
class Way:
    """The way to one end: its Contact, the Route values in front, and our socket (`udp:host:port`) to send from.

    `of_caller` tells whose end it is, `flags` are those that the script gave, `caller_name` and `callee_name` the
    users to be told to each of the two, "" for none.
    """

    contact: str
    routes: tuple[str, ...] = ()
    socket: str = ""
    of_caller: bool = True
    flags: str = ""
    caller_name: str = ""
    callee_name: str = ""

    def data(self) -> bytes:
        side = "r" if self.of_caller else "e"
        lines = (side + self.flags, self.socket, self.caller_name, self.callee_name, self.contact, *self.routes)
        return encode("\n".join(lines))

    @classmethod
    def read(cls, data: bytes) -> Way | None:
        """The way that `data` tells; None when it tells none."""
        lines = decode(data).split("\n")
        if len(lines) < 5 or lines[0][:1] not in ("r", "e") or len(lines) > 5 + MAX_ROUTES:
            return None
        first, socket, caller, callee, contact, *routes = lines
        return cls(contact, tuple(routes), socket, first[0] == "r", first[1:], caller, callee)


@dataclass(frozen=True, slots=True)
class HidingParameter:
    """A parameter that holds ways: its name, password, layout, and how bytes become text."""

    name: str = DEFAULT_PARAMETER
    password: str = DEFAULT_PASSWORD
    compact: bool = True
    base32: bool = False

    @classmethod
    def of(cls, text: str, base32: bool) -> HidingParameter:
        """Read `name[:password[:layout]]`.  Raises ConfigurationError."""
        name, _, rest = text.partition(":")
        password, _, layout = rest.partition(":")
        layout = layout or "C"
        if not name or not name.replace("-", "").replace("_", "").isalnum() or layout not in ("C", "c", "L", "l"):
            raise ConfigurationError(
                f"'{text}' is no NAME[:PASSWORD[:LAYOUT]], LAYOUT being C or L",
                parameter="th_contact_encode_param_password",
            )
        return cls(name, password or DEFAULT_PASSWORD, layout in "Cc", base32)

    def text(self, way: Way) -> str:
        """The value of the parameter.  Raises ValueError when the way is too long."""
        data = way.data()
        if len(data) > MAX_DATA or len(way.routes) > MAX_ROUTES:
            raise ValueError(f"the way to '{way.contact}' is too long to be kept in a Contact")
        if self.compact:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=_COMMON)
            data = _COMPACT + packer.compress(data) + packer.flush()
        else:
            data = _LONG + data
        sealed = Sealing(self.password).sealed(data)
        found = to_base32(sealed) if self.base32 else to_base64(sealed)
        if len(found) > MAX_TEXT:
            raise ValueError(f"the way to '{way.contact}' is too long to be kept in a Contact")
        return found

    def way(self, text: str) -> Way | None:
        """The way that a value tells; None when it was not made with this password."""
        if len(text) > MAX_TEXT:
            return None
        sealed = from_base32(text) if self.base32 else from_base64(text)
        data = None if sealed is None else Sealing(self.password).opened(sealed)
        if data is None:
            return None
        if data[:1] == _LONG:
            return Way.read(data[1:])
        try:
            unpacker = zlib.decompressobj(-15, zdict=_COMMON)
            found = unpacker.decompress(data[1:], MAX_DATA)
        except zlib.error:
            return None
        return Way.read(found) if unpacker.eof else None


def hiding_parameters(
    texts: Sequence[str], used: str, scheme: str
) -> tuple[HidingParameter, tuple[HidingParameter, ...]]:
    """The parameter that is written, and all that are read.  Raises ConfigurationError."""
    if scheme not in ("base64", "base32"):
        raise ConfigurationError(f"'{scheme}' is none of base64, base32", parameter="th_contact_encode_scheme")
    if len(texts) > MAX_PARAMETERS:
        raise ConfigurationError(
            f"{len(texts)} parameters, expected at most {MAX_PARAMETERS}", parameter="th_contact_encode_param_password"
        )
    base32 = scheme == "base32"
    known = tuple(HidingParameter.of(text, base32) for text in texts) or (HidingParameter(base32=base32),)
    if not used:
        return known[0], known
    chosen = next((parameter for parameter in known if parameter.name == used), None)
    if chosen is None:
        names = ", ".join(parameter.name for parameter in known)
        raise ConfigurationError(f"'{used}' is not among the parameters: {names}", parameter="th_use_param")
    return chosen, known
