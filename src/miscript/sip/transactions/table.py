"""The four transactions of SIP as tables: in which state what happens makes which state, and what is to be done.

Rows are (state, event) → `Step`.  What has no row is ignored, as RFC 3261 wants of late and repeated messages.
Letters of timers are those of the RFCs; `Timers` knows how long each of them runs.

Source: RFC 3261 section 17 (figures 5 to 8), changed by RFC 6026 (state Accepted, timers L and M), and RFC 3261
section 16.8 (timer C of a proxy).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias


class _Key(Enum):
    """Members are keys of the tables, so they are hashed as objects: Enum hashes their names, in Python."""

    __hash__ = object.__hash__


class State(_Key):
    """Where a transaction is.  `CALLING` is the first state of a client, `TRYING` of all others but an INVITE."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class Event(_Key):
    """What happens to a transaction.  At a client replies come in, at a server they are to be sent."""

    REQUEST = "the request came again"
    ACK = "ACK came"
    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "3xx to 6xx"
    RESEND = "time to send again"
    TIMEOUT = "the state's timer fired"
    TRANSPORT_ERROR = "the transport could not send"


class Do(Enum):
    """What the owner of a transaction has to do."""

    SEND = "send the message that the event is about"
    RESEND = "send the last message again"
    PASS = "hand the message to the transaction's user"
    ACK = "send an ACK for this reply"
    TIMED_OUT = "tell the user that no final reply came"
    FAILED = "tell the user that the transport failed"


class Timer(Enum):
    """What ends a state."""

    B = "INVITE client: no reply at all"
    C = "INVITE client: no final reply"
    D = "INVITE client: late negative replies"
    F = "client: no final reply"
    H = "INVITE server: no ACK"
    I = "INVITE server: late ACKs"  # noqa: E741  # its name in RFC 3261
    J = "server: late requests"
    K = "client: late replies"
    L = "INVITE server: late requests after 2xx"
    M = "INVITE client: more 2xx"


class Resending(Enum):
    """What becomes of the timer that sends again (A, E or G)."""

    KEEP = "as it is"
    START = "begin with T1"
    SLOW = "every T2 from now on"
    STOP = "no more"


@dataclass(frozen=True, slots=True)
class Step:
    """The new state, what is to be done in this order, and what becomes of the timers."""

    to: State
    do: tuple[Do, ...] = ()
    wait: Timer | None = None
    """Timer that starts; None: the one that runs goes on."""
    resending: Resending = Resending.KEEP


Table: TypeAlias = Mapping[tuple[State, Event], Step]

_CALLING, _TRYING, _PROCEEDING, _ACCEPTED, _COMPLETED, _CONFIRMED, _TERMINATED = State
_STOP = Resending.STOP

INVITE_CLIENT: Final[Table] = {
    (_CALLING, Event.RESEND): Step(_CALLING, (Do.RESEND,)),
    (_CALLING, Event.TIMEOUT): Step(_TERMINATED, (Do.TIMED_OUT,)),
    (_CALLING, Event.TRANSPORT_ERROR): Step(_TERMINATED, (Do.FAILED,)),
    (_CALLING, Event.PROVISIONAL): Step(_PROCEEDING, (Do.PASS,), Timer.C, _STOP),
    (_CALLING, Event.SUCCESS): Step(_ACCEPTED, (Do.PASS,), Timer.M, _STOP),
    (_CALLING, Event.FAILURE): Step(_COMPLETED, (Do.ACK, Do.PASS), Timer.D, _STOP),
    (_PROCEEDING, Event.PROVISIONAL): Step(_PROCEEDING, (Do.PASS,), Timer.C),
    (_PROCEEDING, Event.SUCCESS): Step(_ACCEPTED, (Do.PASS,), Timer.M),
    (_PROCEEDING, Event.FAILURE): Step(_COMPLETED, (Do.ACK, Do.PASS), Timer.D),
    # A proxy cancels now; the state lives on to acknowledge the 487 (RFC 3261 16.8).
    (_PROCEEDING, Event.TIMEOUT): Step(_COMPLETED, (Do.TIMED_OUT,), Timer.B),
    (_ACCEPTED, Event.SUCCESS): Step(_ACCEPTED, (Do.PASS,)),
    (_ACCEPTED, Event.TIMEOUT): Step(_TERMINATED),
    (_COMPLETED, Event.SUCCESS): Step(_ACCEPTED, (Do.PASS,), Timer.M),
    (_COMPLETED, Event.FAILURE): Step(_COMPLETED, (Do.ACK,)),
    (_COMPLETED, Event.TIMEOUT): Step(_TERMINATED),
    (_COMPLETED, Event.TRANSPORT_ERROR): Step(_TERMINATED, (Do.FAILED,)),
}

CLIENT: Final[Table] = {
    (_TRYING, Event.RESEND): Step(_TRYING, (Do.RESEND,)),
    (_TRYING, Event.TIMEOUT): Step(_TERMINATED, (Do.TIMED_OUT,)),
    (_TRYING, Event.TRANSPORT_ERROR): Step(_TERMINATED, (Do.FAILED,)),
    (_TRYING, Event.PROVISIONAL): Step(_PROCEEDING, (Do.PASS,), None, Resending.SLOW),
    (_TRYING, Event.SUCCESS): Step(_COMPLETED, (Do.PASS,), Timer.K, _STOP),
    (_TRYING, Event.FAILURE): Step(_COMPLETED, (Do.PASS,), Timer.K, _STOP),
    (_PROCEEDING, Event.RESEND): Step(_PROCEEDING, (Do.RESEND,)),
    (_PROCEEDING, Event.TIMEOUT): Step(_TERMINATED, (Do.TIMED_OUT,)),
    (_PROCEEDING, Event.TRANSPORT_ERROR): Step(_TERMINATED, (Do.FAILED,)),
    (_PROCEEDING, Event.PROVISIONAL): Step(_PROCEEDING, (Do.PASS,)),
    (_PROCEEDING, Event.SUCCESS): Step(_COMPLETED, (Do.PASS,), Timer.K, _STOP),
    (_PROCEEDING, Event.FAILURE): Step(_COMPLETED, (Do.PASS,), Timer.K, _STOP),
    (_COMPLETED, Event.TIMEOUT): Step(_TERMINATED),
}

INVITE_SERVER: Final[Table] = {
    (_PROCEEDING, Event.REQUEST): Step(_PROCEEDING, (Do.RESEND,)),
    (_PROCEEDING, Event.PROVISIONAL): Step(_PROCEEDING, (Do.SEND,)),
    (_PROCEEDING, Event.SUCCESS): Step(_ACCEPTED, (Do.SEND,), Timer.L),
    (_PROCEEDING, Event.FAILURE): Step(_COMPLETED, (Do.SEND,), Timer.H, Resending.START),
    (_PROCEEDING, Event.TRANSPORT_ERROR): Step(_PROCEEDING, (Do.FAILED,)),
    # RFC 6026 leaves the 2xx to the user; sending it again for the asking helps who answers calls in a script.
    (_ACCEPTED, Event.REQUEST): Step(_ACCEPTED, (Do.RESEND,)),
    (_ACCEPTED, Event.SUCCESS): Step(_ACCEPTED, (Do.SEND,)),
    (_ACCEPTED, Event.ACK): Step(_ACCEPTED, (Do.PASS,)),
    (_ACCEPTED, Event.TRANSPORT_ERROR): Step(_ACCEPTED, (Do.FAILED,)),
    (_ACCEPTED, Event.TIMEOUT): Step(_TERMINATED),
    (_COMPLETED, Event.REQUEST): Step(_COMPLETED, (Do.RESEND,)),
    (_COMPLETED, Event.RESEND): Step(_COMPLETED, (Do.RESEND,)),
    (_COMPLETED, Event.ACK): Step(_CONFIRMED, (), Timer.I, _STOP),
    (_COMPLETED, Event.TRANSPORT_ERROR): Step(_COMPLETED, (Do.FAILED,)),
    (_COMPLETED, Event.TIMEOUT): Step(_TERMINATED, (Do.TIMED_OUT,)),
    (_CONFIRMED, Event.TIMEOUT): Step(_TERMINATED),
}

SERVER: Final[Table] = {
    (_TRYING, Event.PROVISIONAL): Step(_PROCEEDING, (Do.SEND,)),
    (_TRYING, Event.SUCCESS): Step(_COMPLETED, (Do.SEND,), Timer.J),
    (_TRYING, Event.FAILURE): Step(_COMPLETED, (Do.SEND,), Timer.J),
    (_PROCEEDING, Event.REQUEST): Step(_PROCEEDING, (Do.RESEND,)),
    (_PROCEEDING, Event.PROVISIONAL): Step(_PROCEEDING, (Do.SEND,)),
    (_PROCEEDING, Event.SUCCESS): Step(_COMPLETED, (Do.SEND,), Timer.J),
    (_PROCEEDING, Event.FAILURE): Step(_COMPLETED, (Do.SEND,), Timer.J),
    (_PROCEEDING, Event.TRANSPORT_ERROR): Step(_TERMINATED, (Do.FAILED,)),
    (_COMPLETED, Event.REQUEST): Step(_COMPLETED, (Do.RESEND,)),
    (_COMPLETED, Event.TRANSPORT_ERROR): Step(_TERMINATED, (Do.FAILED,)),
    (_COMPLETED, Event.TIMEOUT): Step(_TERMINATED),
}
