"""Codecs and streams of the description of media.

Each change is made on the body as it would be sent, so that several calls work together; `$sdp` and `$rb` go on
telling the body that came.  Source: OpenSIPS manual, module sipmsgops; observed bodies of OpenSIPS 4.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ...exports import Pattern, script_function
from ...script.runtime import Run
from ...sip.message import Message
from ...sip.sdp import Codec, CodecTest, Sdp, Stream
from ...sip.sdp_body import sdp_part, with_sdp
from ...values import encode
from .part import WITH_MESSAGE, MessagePart, message_of

AUDIO: Final = "audio"


class Media(MessagePart):
    """Functions about the description of media."""

    @script_function(routes=WITH_MESSAGE)
    def codec_exists(self, run: Run, name: str, clock: str | None = None) -> int:
        """Whether a stream has a codec, with that clock rate if one is given."""
        return _exists(run, _called(name, clock))

    @script_function(routes=WITH_MESSAGE)
    def codec_exists_re(self, run: Run, regexp: Pattern) -> int:
        """Whether a stream has a codec whose name matches."""
        return _exists(run, _matching(regexp))

    @script_function(routes=WITH_MESSAGE)
    def codec_delete(self, run: Run, name: str, clock: str | None = None) -> int:
        """Remove a codec from all streams; -1 when none has it."""
        return _delete(run, _called(name, clock))

    @script_function(routes=WITH_MESSAGE)
    def codec_delete_re(self, run: Run, regexp: Pattern) -> int:
        """Remove all codecs whose name matches."""
        return _delete(run, _matching(regexp))

    @script_function(routes=WITH_MESSAGE)
    def codec_delete_except_re(self, run: Run, regexp: Pattern) -> int:
        """Remove all codecs whose name does not match."""
        kept = _matching(regexp)
        return _delete(run, lambda codec: not kept(codec))

    @script_function(routes=WITH_MESSAGE)
    def codec_move_up(self, run: Run, name: str, clock: str | None = None) -> int:
        """Put a codec in front of the others; several keep their order."""
        return _move(run, _called(name, clock), first=True)

    @script_function(routes=WITH_MESSAGE)
    def codec_move_up_re(self, run: Run, regexp: Pattern) -> int:
        """Put all codecs whose name matches in front of the others, in their order."""
        return _move(run, _matching(regexp), first=True)

    @script_function(routes=WITH_MESSAGE)
    def codec_move_down(self, run: Run, name: str, clock: str | None = None) -> int:
        """Put a codec behind the others; several keep their order."""
        return _move(run, _called(name, clock), first=False)

    @script_function(routes=WITH_MESSAGE)
    def codec_move_down_re(self, run: Run, regexp: Pattern) -> int:
        """Put all codecs whose name matches behind the others, in their order."""
        return _move(run, _matching(regexp), first=False)

    @script_function(routes=WITH_MESSAGE)
    def stream_exists(self, run: Run, regexp: Pattern, regexp2: Pattern | None = None) -> int:
        """Whether there is a stream whose media matches, and its transport if a second pattern is given."""
        sdp, wanted = _written(message_of(run)), _stream_test(regexp, regexp2)
        return 1 if sdp is not None and any(wanted(stream) for stream in sdp.streams) else -1

    @script_function(routes=WITH_MESSAGE)
    def stream_delete(self, run: Run, regexp: Pattern, regexp2: Pattern | None = None) -> int:
        """Remove all streams whose media matches, and their transport if a second pattern is given."""
        wanted = _stream_test(regexp, regexp2)
        if self.stream_exists(run, regexp, regexp2) < 0:
            return -1
        return _change(run, lambda sdp: sdp.without_streams(wanted))

    @script_function(routes=WITH_MESSAGE)
    def is_audio_on_hold(self, run: Run) -> int:
        """How an audio stream is held: 1 by an address that is none, 2 by `sendonly` or `inactive`; -1 when none is."""
        message = message_of(run)
        part = None if message is None else sdp_part(message.body_type, message.body)
        held = None if part is None else Sdp.parse(part.data).hold(AUDIO)
        return -1 if held is None else int(held)


def _called(name: str, clock: str | None) -> CodecTest:
    return lambda codec: codec.is_called(name.strip(), clock.strip() if clock else None)


def _matching(pattern: Pattern) -> CodecTest:
    def matches(codec: Codec) -> bool:
        return pattern.search(encode(codec.name)) is not None

    return matches


def _stream_test(media: Pattern, transport: Pattern | None) -> Callable[[Stream], bool]:
    def matches(stream: Stream) -> bool:
        if media.search(encode(stream.media)) is None:
            return False
        return transport is None or transport.search(encode(stream.transport)) is not None

    return matches


def _written(message: Message | None) -> Sdp | None:
    """The description of media as it would be sent."""
    part = None if message is None else sdp_part(message.written_content_type, message.written_body)
    return None if part is None else Sdp.parse(part.data)


def _exists(run: Run, wanted: CodecTest) -> int:
    sdp = _written(message_of(run))
    return 1 if sdp is not None and sdp.has_codec(wanted) else -1


def _delete(run: Run, gone: CodecTest) -> int:
    return _change(run, lambda sdp: sdp.without_codecs(gone)) if _exists(run, gone) > 0 else -1


def _move(run: Run, wanted: CodecTest, *, first: bool) -> int:
    return _change(run, lambda sdp: sdp.with_moved_codecs(wanted, first=first)) if _exists(run, wanted) > 0 else -1


def _change(run: Run, change: Callable[[Sdp], Sdp]) -> int:
    message = message_of(run)
    sdp = _written(message)
    if message is None or sdp is None:
        return -1
    body = with_sdp(message.written_content_type, message.written_body, change(sdp).to_bytes())
    if body is None:
        return -1
    message.replace_body(body)
    return 1
