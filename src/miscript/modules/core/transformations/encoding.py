"""`{s.…}`: hexadecimal, base64, escapes, checksums and digests."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import zlib
from collections.abc import Callable

from ....late_pattern import late_pattern
from ....values import NumberWithText, Value, decode, encode
from .table import text_transformation, value_transformation

_DECIMAL = late_pattern(r"[+-]?[0-9]{1,20}")
_HEXADECIMAL = late_pattern(r"[0-9A-Fa-f]{0,16}")
_BASE64 = late_pattern(rb"([A-Za-z0-9+/]*)={0,2}")
_BLANKS = late_pattern(rb"[ \t\r\n]+")


# -- numbers and bytes ---------------------------------------------------------------------------------------------


@text_transformation("s", "dec2hex")
def s_dec2hex(text: str) -> Value:
    """A number in hexadecimal, in lower case; negative ones as 32 bits in two's complement."""
    return f"{int(text) & 0xFFFFFFFF:x}" if _DECIMAL.fullmatch(text) else None


@value_transformation("s", "hex2dec")
def s_hex2dec(value: Value) -> Value:
    """The number that hexadecimal digits (without `0x`) stand for; computes in 32 bits, prints without a sign.

    A number stays as it is.
    """
    if not isinstance(value, str):
        return value
    text = value
    if not _HEXADECIMAL.fullmatch(text):
        return None
    number = int(text or "0", 16)
    return number if number <= 0x7FFFFFFF else NumberWithText(number, str(number))


@text_transformation("s", "encode.hexa")
def s_encode_hexa(text: str) -> Value:
    """Each byte as two hexadecimal digits."""
    return encode(text).hex()


@text_transformation("s", "decode.hexa")
def s_decode_hexa(text: str) -> Value:
    """The bytes of pairs of hexadecimal digits; a last digit without a partner is left out."""
    try:
        return decode(binascii.unhexlify(encode(text)[: len(encode(text)) // 2 * 2]))
    except binascii.Error:
        return None


@text_transformation("s", "b64encode")
def s_b64encode(text: str) -> Value:
    """Base64 (RFC 4648 section 4)."""
    return base64.b64encode(encode(text)).decode("ascii")


@text_transformation("s", "b64decode")
def s_b64decode(text: str) -> Value:
    """The bytes of a base64 text; blanks and line ends do not count, the padding at the end may be missing."""
    data = _BLANKS.sub(b"", encode(text))
    found = _BASE64.fullmatch(data)
    if found is None:
        return None
    digits = found[1]
    padded = digits + b"=" * (-len(digits) % 4)
    if len(digits) % 4 == 1 or (digits != data and padded != data):
        return None
    decoded = base64.b64decode(padded)
    # bits behind the last byte must be 0, or the text is not what any encoder makes
    return decode(decoded) if base64.b64encode(decoded) == padded else None


@text_transformation("s", "xor", kinds=("word",))
def s_xor(text: str, key: str) -> Value:
    """Each byte combined with one of the key, which is repeated."""
    data, pad = encode(text), encode(key)
    if not pad:
        return None
    pad = (pad * (len(data) // len(pad) + 1))[: len(data)]
    return decode((int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(data), "big"))


# -- escapes -------------------------------------------------------------------------------------------------------

_COMMON_SPECIAL = late_pattern(rb"['\"\\\0]")
_COMMON_ESCAPED = late_pattern(rb"\\(['\"\\0])")
_UNRESERVED = r"A-Za-z0-9_.!~*'()\-"
_NOT_IN_USER = late_pattern(rf"[^{_UNRESERVED}&=+$,;?/]")
_NOT_IN_PARAM = late_pattern(rf"[^{_UNRESERVED}\[\]/:&+$]")
_PRINTABLE = late_pattern(r"[ -~]*")
_PERCENT = late_pattern(r"%(..?|\Z)", re.DOTALL)
_HEX_PAIR = late_pattern(r"[2-7][0-9A-Fa-f]")


@text_transformation("s", "escape.common")
def s_escape_common(text: str) -> Value:
    """A backslash before quotes and backslashes, NUL as `\\0`."""
    return decode(_COMMON_SPECIAL.sub(lambda m: b"\\" + m[0].replace(b"\0", b"0"), encode(text)))


@text_transformation("s", "unescape.common")
def s_unescape_common(text: str) -> Value:
    """The reverse of escape.common; other backslashes stay."""
    return decode(_COMMON_ESCAPED.sub(lambda m: m[1].replace(b"0", b"\0"), encode(text)))


def _percent_escaped(text: str, special: re.Pattern[str]) -> Value:
    if not _PRINTABLE.fullmatch(text):
        return None
    return special.sub(lambda m: f"%{ord(m[0]):02x}", text)


def _percent_unescaped(text: str) -> Value:
    pairs = _PERCENT.findall(text)
    if not all(_HEX_PAIR.fullmatch(pair) and pair.lower() != "7f" for pair in pairs):
        return None
    return _PERCENT.sub(lambda m: chr(int(m[1], 16)), text)


@text_transformation("s", "escape.user")
def s_escape_user(text: str) -> Value:
    """Written for the user part of a SIP URI; NULL when there are bytes that are not printable ASCII."""
    return _percent_escaped(text, _NOT_IN_USER)


@text_transformation("s", "escape.param")
def s_escape_param(text: str) -> Value:
    """Written for a parameter of a SIP URI; NULL when there are bytes that are not printable ASCII."""
    return _percent_escaped(text, _NOT_IN_PARAM)


@text_transformation("s", "unescape.user", "unescape.param")
def s_unescape_percent(text: str) -> Value:
    """The reverse of escape.user and escape.param; NULL when an escape does not stand for printable ASCII."""
    return _percent_unescaped(text)


# -- checksums and digests -----------------------------------------------------------------------------------------


@text_transformation("s", "crc32")
def s_crc32(text: str) -> Value:
    """The complement of the CRC-32 of the text, in decimal, as text."""
    return str(zlib.crc32(encode(text)) ^ 0xFFFFFFFF)


def _digest(algorithm: str) -> Callable[[str], Value]:
    def digest(text: str) -> Value:
        return hashlib.new(algorithm, encode(text), usedforsecurity=False).hexdigest()

    digest.__doc__ = f"The {algorithm.upper()} digest in hexadecimal."
    return digest


def _keyed_digest(algorithm: str) -> Callable[[str, str], Value]:
    def digest(text: str, key: str) -> Value:
        return hmac.new(encode(key), encode(text), algorithm).hexdigest()

    digest.__doc__ = f"The HMAC (RFC 2104) with {algorithm.upper()} and a key, in hexadecimal."
    return digest


for _name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512"):
    text_transformation("s", _name)(_digest(_name))
for _name in ("sha1", "sha224", "sha256", "sha384", "sha512"):
    text_transformation("s", f"{_name}_hmac", kinds=("word",))(_keyed_digest(_name))
