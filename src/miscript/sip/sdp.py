"""A description of media (SDP) as its lines, kept as they came, and changes of its codecs and streams.

`Sdp.parse` reads any bytes: a line is what ends with a line feed, a stream begins with its `m=` line, what stands
before the first of them is the session.  What is not changed is written as it came (`to_bytes`), line ends and strange
lines included.  Codecs are known by their `a=rtpmap` lines, or by their number where RFC 3551 gives it a name.

A stream that loses its last codec is refused: port 0, and one format left in its `m=` line because the grammar wants
one.  Sources: RFC 4566 section 5 and 6; RFC 3264 sections 5.1, 6 and 8.4; RFC 3551 section 6; OpenSIPS manual, module
sipmsgops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final, Self

from ..late_pattern import late_pattern

MAX_LINES: Final = 4096
"""Lines that are read one by one; what follows them is kept as the last one."""

STATIC_CODECS: Final = {
    "0": "PCMU/8000", "3": "GSM/8000", "4": "G723/8000", "5": "DVI4/8000", "6": "DVI4/16000", "7": "LPC/8000",
    "8": "PCMA/8000", "9": "G722/8000", "10": "L16/44100", "11": "L16/44100", "12": "QCELP/8000", "13": "CN/8000",
    "14": "MPA/90000", "15": "G728/8000", "16": "DVI4/11025", "17": "DVI4/22050", "18": "G729/8000",
    "25": "CelB/90000", "26": "JPEG/90000", "28": "nv/90000", "31": "H261/90000", "32": "MPV/90000",
    "33": "MP2T/90000", "34": "H263/90000",
}  # fmt: skip
"""Payload types that have a name and a clock rate without an `a=rtpmap` line (RFC 3551 section 6)."""

_MEDIA = late_pattern(rb"m=([^ \r\n]+) ([^ \r\n]+) ([^ \r\n]+)((?: [^ \r\n]+)*) *")
_RTPMAP = late_pattern(rb"a=rtpmap:([^ \r\n]+) +([^ \r\n]+)")
_ABOUT_FORMAT = late_pattern(rb"a=(?:rtpmap|fmtp|rtcp-fb):([^ \r\n]+)")
_CONNECTION = late_pattern(rb"c=IN IP[46] ([^ /\r\n]+)")
_LINE = late_pattern(rb"[^\n]*\n|[^\n]+")
_HELD = (b"sendonly", b"inactive")
_DIRECTIONS = (b"sendrecv", b"recvonly", *_HELD)
_NOWHERE = (b"0.0.0.0", b"::")

CodecTest = Callable[["Codec"], bool]


class Hold(IntEnum):
    """How a stream is held."""

    NULL_ADDRESS = 1  # a connection to nowhere (RFC 2543)
    DIRECTION = 2  # sendonly or inactive (RFC 3264)


@dataclass(frozen=True, slots=True)
class Codec:
    """A format of a stream: its payload type, its name and, behind the first slash, its clock rate as written."""

    payload: str
    name: str
    clock: str

    def is_called(self, name: str, clock: str | None = None) -> bool:
        """Whether it has that name and clock rate, in any case; None for any rate."""
        rate = self.clock.partition("/")[0]
        return self.name.lower() == name.lower() and (clock is None or clock.lower() in (rate, self.clock.lower()))


@dataclass(frozen=True, slots=True)
class Stream:
    """An `m=` line and the lines behind it, each with its line end."""

    lines: tuple[bytes, ...]

    @property
    def media(self) -> str:
        """The kind of media, such as `audio`."""
        return self._part(1)

    @property
    def port(self) -> str:
        """The port as it is written."""
        return self._part(2)

    @property
    def transport(self) -> str:
        """The transport, such as `RTP/AVP`."""
        return self._part(3)

    @property
    def formats(self) -> Sequence[str]:
        """The payload types of the `m=` line, in its order."""
        return self._part(4).split()

    def _part(self, number: int) -> str:
        found = _MEDIA.match(self.lines[0])
        return "" if found is None else found[number].decode("utf-8", "surrogateescape")

    @property
    def codecs(self) -> Sequence[Codec]:
        """The codecs of the `m=` line that have a name, in its order."""
        names = dict(STATIC_CODECS)
        for line in self.lines:
            if found := _RTPMAP.match(line):
                payload, codec = (text.decode("utf-8", "surrogateescape") for text in found.groups())
                names[payload] = codec
        known = ((payload, names.get(payload)) for payload in self.formats)
        return [_codec(payload, name) for payload, name in known if name is not None]

    def without(self, gone: CodecTest) -> Self:
        """The stream without some codecs and all that is said of them."""
        payloads = {codec.payload for codec in self.codecs if gone(codec)}
        if not payloads:
            return self
        left = [payload for payload in self.formats if payload not in payloads]
        lines = [line for line in self.lines[1:] if not _is_about(line, payloads)]
        return replace(self, lines=(self._media_line(left), *lines))

    def moved(self, wanted: CodecTest, *, first: bool) -> Self:
        """The stream with some codecs in front of all others, or behind them; their order stays."""
        payloads = {codec.payload for codec in self.codecs if wanted(codec)}
        if not payloads:
            return self
        chosen = [payload for payload in self.formats if payload in payloads]
        others = [payload for payload in self.formats if payload not in payloads]
        return replace(self, lines=(self._media_line(chosen + others if first else others + chosen), *self.lines[1:]))

    def _media_line(self, formats: Sequence[str]) -> bytes:
        line = self.lines[0]
        end = line[len(line.rstrip(b"\r\n")) :]
        port = self.port if formats else "0"
        text = " ".join((f"m={self.media}", port, self.transport, *(formats or self.formats[:1])))
        return text.encode("utf-8", "surrogateescape") + end


@dataclass(frozen=True, slots=True)
class Sdp:
    """`session` are the lines before the first stream, each with its line end."""

    session: tuple[bytes, ...] = ()
    streams: tuple[Stream, ...] = field(default=())

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read any bytes."""
        blocks: list[list[bytes]] = [[]]
        for line in sdp_lines(data):
            if line.startswith(b"m="):
                blocks.append([])
            blocks[-1].append(line)
        return cls(tuple(blocks[0]), tuple(Stream(tuple(lines)) for lines in blocks[1:]))

    def to_bytes(self) -> bytes:
        """The description as it is now."""
        return b"".join(self.lines)

    @property
    def lines(self) -> Iterator[bytes]:
        """All lines, in their order."""
        yield from self.session
        for stream in self.streams:
            yield from stream.lines

    def has_codec(self, wanted: CodecTest) -> bool:
        """Whether a stream has such a codec."""
        return any(wanted(codec) for stream in self.streams for codec in stream.codecs)

    def without_codecs(self, gone: CodecTest) -> Self:
        """The description without some codecs."""
        return replace(self, streams=tuple(stream.without(gone) for stream in self.streams))

    def with_moved_codecs(self, wanted: CodecTest, *, first: bool) -> Self:
        """The description with some codecs in front of the others of their stream, or behind them."""
        return replace(self, streams=tuple(stream.moved(wanted, first=first) for stream in self.streams))

    def without_streams(self, gone: Callable[[Stream], bool]) -> Self:
        """The description without some streams."""
        return replace(self, streams=tuple(stream for stream in self.streams if not gone(stream)))

    def hold(self, media: str) -> Hold | None:
        """How a stream of that kind of media is held; None when none is.

        What a stream does not say of itself the session says for it; a refused stream (port 0) is not held.
        """
        held: Hold | None = None
        for stream in self.streams:
            if stream.media != media or stream.port == "0":
                continue
            if _last(stream.lines, self.session, _address) in _NOWHERE:
                return Hold.NULL_ADDRESS
            if _last(stream.lines, self.session, _direction) in _HELD:
                held = Hold.DIRECTION
        return held

    @property
    def is_valid(self) -> bool:
        """Whether others will be able to read it: each line is a letter, an equals sign and a value, the session has
        `v=` and `o=`, each stream a whole `m=` line, and there is a `c=` for each of them.

        `s=` and `t=`, which RFC 4566 asks for too, may be missing, as servers in the field let them.
        """
        kinds = {line[:2] for line in self.session}
        connected = b"c=" in kinds or all(any(li.startswith(b"c=") for li in s.lines) for s in self.streams)
        formed = all(_VALID_LINE.fullmatch(line) for line in self.lines)
        described = all(_MEDIA.match(stream.lines[0]) and stream.formats for stream in self.streams)
        return {b"v=", b"o="} <= kinds and connected and formed and described


_VALID_LINE = late_pattern(rb"[a-z]=[^\r\n\0]*(?:\r?\n)?")


def sdp_lines(data: bytes) -> list[bytes]:
    """The lines of a description with their line ends; joined they are `data` again."""
    lines: list[bytes] = _LINE.findall(data)
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], b"".join(lines[MAX_LINES - 1 :])]
    return lines


def _codec(payload: str, text: str) -> Codec:
    name, _, clock = text.partition("/")
    return Codec(payload, name, clock)


def _is_about(line: bytes, payloads: set[str]) -> bool:
    found = _ABOUT_FORMAT.match(line)
    return found is not None and found[1].decode("utf-8", "surrogateescape") in payloads


def _address(line: bytes) -> bytes | None:
    found = _CONNECTION.match(line)
    return None if found is None else found[1]


def _direction(line: bytes) -> bytes | None:
    name = line.strip()[2:]
    return name if line.startswith(b"a=") and name in _DIRECTIONS else None


def _last(own: Iterable[bytes], session: Iterable[bytes], read: Callable[[bytes], bytes | None]) -> bytes | None:
    """What the last line says that says it, of the stream's own or else of the session's."""
    for lines in (own, session):
        found = [value for value in map(read, lines) if value is not None]
        if found:
            return found[-1]
    return None
