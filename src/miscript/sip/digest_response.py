"""Digest authentication: what proves a password, and what a challenge and credentials say.

The algorithms are those of RFC 8760, the strongest first.  `sess` variants hash the nonces into HA1.

Source: RFC 2617, RFC 7616 section 3.4, RFC 8760.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from ..values import encode
from .digest import parse_digest
from .syntax import SipSyntaxError


class Algorithm(Enum):
    """An algorithm by its name in header fields, the strongest first."""

    SHA_512_256 = "SHA-512-256"
    SHA_512_256_SESS = "SHA-512-256-sess"
    SHA_256 = "SHA-256"
    SHA_256_SESS = "SHA-256-sess"
    MD5 = "MD5"
    MD5_SESS = "MD5-sess"

    @classmethod
    def named(cls, name: str) -> Algorithm | None:
        """The algorithm of that name, in any case; None when there is none."""
        return _BY_NAME.get(name.strip().lower())

    @property
    def is_session(self) -> bool:
        return self.value.endswith("-sess")

    def hash(self, data: bytes) -> str:
        """The digest of `data` in hexadecimal."""
        return hashlib.new(_HASHES[self.value.removesuffix("-sess")], data, usedforsecurity=False).hexdigest()


_BY_NAME = {algorithm.value.lower(): algorithm for algorithm in Algorithm}
_HASHES = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}

QOPS = ("auth", "auth-int")


def plain_ha1(algorithm: Algorithm, user: str, realm: str, password: str) -> str:
    """HA1 without nonces, as databases keep it."""
    return algorithm.hash(encode(f"{user}:{realm}:{password}"))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client answers to a challenge; `qop` is "" without one, and then `nc` and `cnonce` are too."""

    user: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: Algorithm = Algorithm.MD5
    named_algorithm: bool = False
    qop: str = ""
    nc: str = ""
    cnonce: str = ""
    opaque: str | None = None

    @classmethod
    def parse(cls, text: str) -> Credentials:
        """Read the value of Authorization or Proxy-Authorization.  Raises `SipSyntaxError`."""
        fields = parse_digest(text)
        for name in ("username", "realm", "nonce", "uri", "response"):
            if name not in fields:
                raise SipSyntaxError(f"credentials without '{name}'", 0)
        qop = fields.get("qop", "").lower()
        if qop and (qop not in QOPS or not fields.get("nc") or "cnonce" not in fields):
            raise SipSyntaxError(f"qop '{qop}' is unknown, or lacks nc or cnonce", 0)
        named = fields.get("algorithm")
        algorithm = Algorithm.MD5 if named is None else Algorithm.named(named)
        if algorithm is None or (algorithm.is_session and "cnonce" not in fields):
            raise SipSyntaxError(f"algorithm '{named}' is unknown, or lacks cnonce", 0)
        return cls(
            fields["username"],
            fields["realm"],
            fields["nonce"],
            fields["uri"],
            fields["response"].lower(),
            algorithm,
            named is not None,
            qop,
            fields.get("nc", "") if qop else "",
            fields.get("cnonce", ""),
            fields.get("opaque"),
        )

    @property
    def count(self) -> int:
        """`nc` as a number; 0 without one, or when it is none."""
        try:
            return int(self.nc, 16) if len(self.nc) <= 8 else 0
        except ValueError:
            return 0

    def expected(self, ha1: str, method: str, body: bytes = b"") -> str:
        """The response that belongs to these credentials; `ha1` is that without nonces."""
        digest = self.algorithm.hash
        if self.algorithm.is_session:
            ha1 = digest(encode(f"{ha1}:{self.nonce}:{self.cnonce}"))
        a2 = f"{method}:{self.uri}"
        if self.qop == "auth-int":
            a2 += f":{digest(body)}"
        ha2 = digest(encode(a2))
        if not self.qop:
            return digest(encode(f"{ha1}:{self.nonce}:{ha2}"))
        return digest(encode(f"{ha1}:{self.nonce}:{self.nc}:{self.cnonce}:{self.qop}:{ha2}"))

    def proves(self, ha1: str, method: str, body: bytes = b"") -> bool:
        """Whether the response shows that the client knows the password."""
        return hmac.compare_digest(encode(self.response), encode(self.expected(ha1.lower(), method, body)))

    def __str__(self) -> str:
        """The value of the header field."""
        parts = [
            f"username={_quoted(self.user)}",
            f"realm={_quoted(self.realm)}",
            f"nonce={_quoted(self.nonce)}",
            f"uri={_quoted(self.uri)}",
            f'response="{self.response}"',
        ]
        if self.named_algorithm:
            parts.append(f"algorithm={self.algorithm.value}")
        if self.opaque is not None:
            parts.append(f"opaque={_quoted(self.opaque)}")
        if self.qop:
            parts.append(f"qop={self.qop}, nc={self.nc}, cnonce={_quoted(self.cnonce)}")
        elif self.algorithm.is_session:
            parts.append(f"cnonce={_quoted(self.cnonce)}")
        return "Digest " + ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server asks with; `algorithm` is None for one that we do not know."""

    realm: str
    nonce: str
    algorithm: Algorithm | None = Algorithm.MD5
    named_algorithm: bool = False
    qops: tuple[str, ...] = ()
    stale: bool = False
    opaque: str | None = None

    @classmethod
    def parse(cls, text: str) -> Challenge:
        """Read the value of WWW-Authenticate or Proxy-Authenticate.  Raises `SipSyntaxError`."""
        fields: Mapping[str, str] = parse_digest(text)
        for name in ("realm", "nonce"):
            if name not in fields:
                raise SipSyntaxError(f"a challenge without '{name}'", 0)
        named = fields.get("algorithm")
        return cls(
            fields["realm"],
            fields["nonce"],
            Algorithm.MD5 if named is None else Algorithm.named(named),
            named is not None,
            tuple(qop.strip().lower() for qop in fields.get("qop", "").split(",") if qop.strip()),
            fields.get("stale", "").lower() == "true",
            fields.get("opaque"),
        )

    def __str__(self) -> str:
        """The value of the header field."""
        parts = [f"realm={_quoted(self.realm)}", f"nonce={_quoted(self.nonce)}"]
        if self.qops:
            parts.append(f'qop="{",".join(self.qops)}"')
        if self.named_algorithm and self.algorithm is not None:
            parts.append(f"algorithm={self.algorithm.value}")
        if self.opaque is not None:
            parts.append(f"opaque={_quoted(self.opaque)}")
        if self.stale:
            parts.append("stale=true")
        return "Digest " + ", ".join(parts)

    @property
    def can_be_answered(self) -> bool:
        """Whether we know its algorithm, and its qop where it wants one."""
        return self.algorithm is not None and (not self.qops or bool(set(self.qops) & set(QOPS)))

    def answered(
        self, user: str, password: str, method: str, uri: str, *, cnonce: str, count: int = 1, body: bytes = b""
    ) -> Credentials:
        """The credentials for this challenge; `password` may be an HA1 in hexadecimal behind `0x`.

        "auth" is taken before "auth-int".  Raises ValueError for a challenge that cannot be answered.
        """
        if self.algorithm is None or not self.can_be_answered:
            raise ValueError("a challenge with an algorithm or a qop that is not known")
        qop = next((qop for qop in QOPS if qop in self.qops), "")
        wanted = Credentials(
            user, self.realm, self.nonce, uri, "", self.algorithm, self.named_algorithm, qop,
            f"{count:08x}" if qop else "", cnonce if qop or self.algorithm.is_session else "", self.opaque,
        )  # fmt: skip
        if password.startswith("0x"):
            ha1 = password[2:].lower()
        else:
            ha1 = plain_ha1(self.algorithm, user, self.realm, password)
        return Credentials(
            user, self.realm, self.nonce, uri, wanted.expected(ha1, method, body), self.algorithm,
            self.named_algorithm, qop, wanted.nc, wanted.cnonce, self.opaque,
        )  # fmt: skip


def strongest(challenges: Iterable[Challenge], allowed: Iterable[Algorithm] | None = None) -> Challenge | None:
    """The challenge with the strongest algorithm that can be answered, the first of equals."""
    order = list(Algorithm)
    wanted = order if allowed is None else list(allowed)
    found = [c for c in challenges if c.can_be_answered and c.algorithm in wanted]
    return min(found, key=lambda c: order.index(c.algorithm or Algorithm.MD5), default=None)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
