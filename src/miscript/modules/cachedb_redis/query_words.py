"""The words of a raw query, such as `HSET $var(hash) name 'a b'`.

Blanks separate words, quotes keep them together, and a backslash inside double quotes keeps the next character.  What
a variable holds is a part of one word, whatever it is; a query that is a variable as a whole is read like a text of
the script.

Source: OpenSIPS manual, module cachedb_redis, "Raw Query Syntax"; observed results of OpenSIPS 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...cachedb import CacheError, Written

MAX_WORDS: Final = 10_000

_KEY_BEHIND: Final = {b"OBJECT": 2, b"MEMORY": 2, b"BITOP": 2, b"XGROUP": 2, b"XINFO": 2, b"DEBUG": 2}
_COUNTED: Final = frozenset((b"EVAL", b"EVALSHA", b"EVAL_RO", b"EVALSHA_RO", b"FCALL", b"FCALL_RO"))

_BLOCKING: Final = frozenset((
    b"BLMOVE", b"BLMPOP", b"BLPOP", b"BRPOP", b"BRPOPLPUSH", b"BZMPOP", b"BZPOPMAX", b"BZPOPMIN", b"WAIT", b"WAITAOF",
    b"XREAD", b"XREADGROUP",
))  # fmt: skip
_OF_CONNECTIONS: Final = frozenset((
    b"ASKING", b"AUTH", b"CLIENT", b"DISCARD", b"EXEC", b"HELLO", b"MONITOR", b"MULTI", b"PSUBSCRIBE", b"PSYNC",
    b"PUNSUBSCRIBE", b"QUIT", b"READONLY", b"READWRITE", b"REPLCONF", b"RESET", b"SELECT", b"SSUBSCRIBE", b"SUBSCRIBE",
    b"SUNSUBSCRIBE", b"SYNC", b"UNSUBSCRIBE", b"UNWATCH", b"WATCH",
))  # fmt: skip
_TEXTS: Final = frozenset((
    b"EVAL", b"EVALSHA", b"EVALSHA_RO", b"EVAL_RO", b"FCALL", b"FCALL_RO", b"GET", b"GETDEL", b"GETEX", b"GETRANGE",
    b"GETSET", b"HGET", b"LINDEX", b"LMOVE", b"LPOP", b"RPOP", b"RPOPLPUSH", b"SPOP", b"SRANDMEMBER", b"SUBSTR",
    b"BLMOVE", b"BRPOPLPUSH", b"ECHO", b"RANDOMKEY", b"HRANDFIELD", b"ZRANDMEMBER",
))  # fmt: skip


def query_words(query: Sequence[str | Written]) -> list[str]:
    """The words of a query: pieces of the script are read, values (plain texts) are taken.  Raises CacheError."""
    words: list[str] = []
    word: list[str] | None = None
    quote, escaped = "", False
    for piece in query:
        if not isinstance(piece, Written):
            word = [*(word or ()), piece]
            continue
        for character in piece.text:
            if escaped:
                word, escaped = [*(word or ()), character], False
            elif character == "\\" and quote == '"':
                escaped = True
            elif quote:
                if character == quote:
                    quote = ""
                else:
                    word = [*(word or ()), character]
            elif character in "'\"":
                quote, word = character, word or []
            elif character.isspace():
                if word is not None:
                    words.append("".join(word))
                word = None
            else:
                word = [*(word or ()), character]
    if quote:
        raise CacheError("a quote of the query is not closed")
    if word is not None:
        words.append("".join(word))
    if not words or not words[0]:
        raise CacheError("the query is empty")
    if len(words) > MAX_WORDS:
        raise CacheError(f"the query has more than {MAX_WORDS} words")
    return words


def key_in(words: Sequence[bytes]) -> bytes | None:
    """The first key of a command, which decides where in a cluster it goes; None when it has none."""
    command = words[0].upper()
    if command in _COUNTED:
        return words[3] if len(words) > 3 and words[2] != b"0" else None
    at = _KEY_BEHIND.get(command, 1)
    return words[at] if len(words) > at else None


def needs_own_connection(words: Sequence[bytes]) -> bool:
    """Whether a command waits for something, or changes the connection itself: others must not share it."""
    command = words[0].upper()
    return command in _BLOCKING or command in _OF_CONNECTIONS


def is_status(words: Sequence[bytes], reply: object) -> bool:
    """Whether a reply tells that the command was done, and is no text that somebody stored."""
    return reply in (b"OK", b"PONG", b"QUEUED") and words[0].upper() not in _TEXTS
