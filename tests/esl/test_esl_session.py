"""The client's side of a connection: what arrives, told as what it means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.esl import Accepted, AuthRequest, Denied, EslError, Event, Farewell, Reply, Session
from miscript.esl.session import State

AUTH = b"Content-Type: auth/request\n\n"
OK = b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
INVALID = b"Content-Type: command/reply\nReply-Text: -ERR invalid\n\n"
STATUS = b"Content-Type: api/response\nContent-Length: 3\n\nUP\n"
JOB = b"Content-Type: command/reply\nReply-Text: +OK Job-UUID: 7\nJob-UUID: 7\n\n"
BYE = b"Content-Type: text/disconnect-notice\nContent-Length: 8\n\ngoodbye\n"
LINGER = b"Content-Type: text/disconnect-notice\nContent-Disposition: linger\nContent-Length: 0\n\n"
RUDE = b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n"
LOG = b"Content-Type: log/data\nContent-Length: 5\nLog-Level: 7\n\nhello"
JSON = b'Content-Length: 24\nContent-Type: text/event-json\n\n{"Event-Name":"RELOAD" }'
PLAIN = b"Content-Length: 16\nContent-Type: text/event-plain\n\nEvent-Name: DTMF"
PIECES = [AUTH, OK, INVALID, STATUS, JOB, BYE, LINGER, RUDE, LOG, JSON, PLAIN]


def items(data, session=None):
    session = session or Session()
    session.receive(data)
    return list(iter(session.next_item, None))


def test_a_login_then_replies_and_events_in_their_order():
    found = items(AUTH + OK + JSON + STATUS + LOG + PLAIN + JOB + BYE)
    assert found[:2] == [AuthRequest(), Accepted()]
    assert [each.name if isinstance(each, Event) else each for each in found[2:]] == [
        "RELOAD",
        Reply("UP\n"),
        "DTMF",
        Reply("+OK Job-UUID: 7"),
        Farewell("goodbye"),
    ]


@pytest.mark.parametrize(
    ("data", "last"),
    [
        (AUTH + INVALID, Denied("invalid")),
        (RUDE, Denied("Access Denied, go away.")),
        (AUTH + RUDE, Denied("Access Denied, go away.")),
        (AUTH + BYE, Farewell("goodbye")),
    ],
)
def test_a_server_may_not_want_us(data, last):
    session = Session()
    assert items(data, session)[-1] == last
    assert session.state is State.CLOSED
    assert items(STATUS, session) == []


def test_a_lingering_server_is_still_there():
    assert items(AUTH + OK + LINGER + STATUS)[2:] == [Reply("UP\n")]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (STATUS, "did not expect 'api/response' in state greeting"),
        (b"HTTP/1.1 400 Bad Request\nServer: x\n\n", "expected 'Name: value'"),
        (AUTH + JSON, "did not expect 'text/event-json' in state login"),
        (AUTH + OK + AUTH, "did not expect 'auth/request' in state ready"),
        (AUTH + OK + b"Content-Type: text/event-json\nContent-Length: 2\n\n[]", "an event that is no JSON object"),
    ],
)
def test_what_does_not_belong_there_is_an_error(data, complaint):
    with pytest.raises(EslError, match=complaint):
        items(data)


def test_only_an_error_is_a_refusal():
    assert Reply("-ERR no keywords supplied").refused
    assert not Reply("+OK").refused


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=8))
def test_any_stream_gives_items_or_the_documented_error(pieces):
    session = Session()
    try:
        for piece in pieces:
            items(piece, session)
    except EslError:
        return
