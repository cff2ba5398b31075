"""Module uuid: universally unique identifiers (RFC 9562).

`$uuid` is a new random one (version 4), `$uuid(7)` one of the version given; `uuid(out_var, version, namespace,
name)` also makes those that are derived from a name (versions 3 and 5).

Source: OpenSIPS manual, module uuid; RFC 9562 sections 5.3, 5.5 and 5.7.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable
from typing import Final
from uuid import UUID, SafeUUID, uuid1, uuid4

from ..exports import Module, Writable, script_function, variable
from ..script.runtime import Run
from ..values import encode

__all__ = ["UuidModule", "named_uuid", "timed_uuid"]

log = logging.getLogger("miscript.uuid")

UNSAFE: Final = 2
"""Return code of `uuid` when the system says that another process may have got the same version 1 identifier."""

_NAMESPACE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


def timed_uuid(seconds: float) -> UUID:
    """A version 7 identifier: the time in milliseconds since the epoch, then random bits (RFC 9562, 5.7)."""
    milliseconds = int(seconds * 1000) & 0xFFFF_FFFF_FFFF
    return UUID(bytes=_marked(milliseconds.to_bytes(6, "big") + os.urandom(10), 7))


def named_uuid(version: int, namespace: UUID, name: bytes) -> UUID:
    """A version 3 (MD5) or version 5 (SHA-1) identifier of `name` (RFC 9562, 5.3 and 5.5)."""
    function = hashlib.md5 if version == 3 else hashlib.sha1
    digest = function(namespace.bytes + name, usedforsecurity=False).digest()
    return UUID(bytes=_marked(digest[:16], version))


def _marked(data: bytes, version: int) -> bytes:
    marked = bytearray(data)
    marked[6] = marked[6] & 0x0F | version << 4
    marked[8] = marked[8] & 0x3F | 0x80
    return bytes(marked)


class UuidModule(Module):
    """Universally unique identifiers."""

    name = "uuid"

    def _makers(self) -> dict[int, Callable[[], UUID]]:
        return {0: uuid4, 1: uuid1, 4: uuid4, 7: lambda: timed_uuid(self.services.clock.time())}

    @variable("uuid", inner="optional")
    def uuid_variable(self, run: Run, version: str | None) -> str | None:
        """A new identifier: random (version 4), or of version 1, 4 or 7.  NULL for other versions."""
        if version is None:
            return str(uuid4())
        maker = (
            self._makers().get(int(version)) if version.isascii() and version.isdigit() and len(version) < 10 else None
        )
        if maker is None:
            log.error("$uuid(%s): the version must be 0, 1, 4 or 7", version)
            return None
        return str(maker())

    @script_function()
    def uuid(
        self, run: Run, out_var: Writable, version: int = 0, namespace: str | None = None, name: str | None = None
    ) -> int:
        """Put a new identifier into `out_var`.

        Versions: 0 and 4 random, 1 from time and hardware address, 7 from time and random bits, 3 and 5 from
        `namespace` (an identifier) and `name`.  1, or 2 when a version 1 identifier may not be unique, or -1.
        """
        made = self._named(version, namespace, name) if version in (3, 5) else self._new(version)
        if made is None or not out_var.set(run, str(made)):
            return -1
        return UNSAFE if made.is_safe is SafeUUID.unsafe else 1

    def _new(self, version: int) -> UUID | None:
        if version == 2:
            log.warning("uuid: there is no version 2 here, a random identifier is taken")
            return uuid4()
        maker = self._makers().get(version)
        if maker is None:
            log.error("uuid: the version must be 0, 1, 3, 4, 5 or 7, found %d", version)
            return None
        return maker()

    def _named(self, version: int, namespace: str | None, name: str | None) -> UUID | None:
        if namespace is None or name is None:
            log.error("uuid: version %d needs a namespace and a name", version)
            return None
        if _NAMESPACE.fullmatch(namespace) is None:
            log.error("uuid: the namespace must be an identifier, found '%s'", namespace)
            return None
        return named_uuid(version, UUID(namespace), encode(name))
