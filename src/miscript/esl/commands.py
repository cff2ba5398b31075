"""The client's commands as bytes.

A command is one line, then headers, then an empty line.  No text that a script makes up can become two commands, or
none: the replies of a connection are told apart by their order alone.

Source: FreeSWITCH documentation, "mod_event_socket" (auth, userauth, event, nixevent, api, bgapi, sendmsg).
"""

from __future__ import annotations

import re
from typing import Final

from ..values import encode
from .address import EventSocketAddress
from .errors import EslError
from .event import Subscription

MAX_COMMAND: Final = 65536
"""Bytes of a command."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LINE_END = re.compile(r"\r\n?")
_BODY_LENGTH = re.compile(r"^content-length:[ \t]*([0-9]{1,6})[ \t]*$", re.ASCII | re.IGNORECASE | re.MULTILINE)


def login(address: EventSocketAddress) -> bytes:
    """`auth` with the password alone, `userauth` for a user."""
    if address.user:
        return _line(f"userauth {address.user}:{address.password}")
    return _line(f"auth {address.password}")


def subscribe(subscription: Subscription) -> bytes:
    """Ask for an event in its JSON form."""
    return _line(f"event json {subscription}")


def unsubscribe(subscription: Subscription) -> bytes:
    """Ask for an event no more."""
    return _line(f"nixevent {subscription}")


def command(text: str) -> bytes:
    """A command as a script writes it, with or without the line ends behind it.

    An empty line may only stand before a body that `Content-Length` measures, as `sendmsg` has one.  Raises EslError
    when there is nothing to send, too much, or more than one command.
    """
    text = _LINE_END.sub("\n", text)
    head, _, body = text.partition("\n\n")
    head = head.strip("\n")
    if not head.strip():
        raise EslError("the command is empty")
    if "\0" in text:
        raise EslError("the command has a NUL character")
    length = _BODY_LENGTH.search(head)
    data = encode(body)
    if length is not None:
        if int(length[1]) != len(data):
            raise EslError(f"the command says that its body has {length[1]} bytes, found {len(data)}")
    elif body.strip("\n"):
        raise EslError("an empty line ends the command: expected nothing behind it, or a Content-Length before it")
    else:
        data = b""
    whole = encode(head) + b"\n\n" + data
    if len(whole) > MAX_COMMAND:
        raise EslError(f"a command of {len(whole)} bytes, expected at most {MAX_COMMAND}")
    return whole


def background(text: str, job: str) -> bytes:
    """Run an `api` command in the background as the job of that UUID."""
    if _CONTROL.search(text):
        raise EslError("a background job must be one line without control characters")
    return command(f"bgapi {text}\nJob-UUID: {job}")


def _line(text: str) -> bytes:
    assert not _CONTROL.search(text)  # addresses and subscriptions have seen to it
    return encode(text) + b"\n\n"
