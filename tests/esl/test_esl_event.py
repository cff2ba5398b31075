"""Events in their two forms, and what subscriptions want."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.esl import EslError, Message, Subscription, read_event, subscriptions

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,20}", fullmatch=True).filter(
    lambda n: n.lower() not in ("content-length", "event-name", "event-subclass", "_body")
)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def message(kind, body):
    return Message((("Content-Type", f"text/event-{kind}"),), body)


def event(kind, body):
    return read_event(message(kind, body))


@given(st.dictionaries(NAMES, VALUES, max_size=5), st.none() | VALUES)
def test_both_forms_tell_the_same(headers, body):
    headers = {"Event-Name": "CUSTOM", "Event-Subclass": "sofia::register", **headers}
    whole = headers if body is None else {**headers, "_body": body}
    lines = "".join(f"{name}: {quote(value)}\n" for name, value in headers.items())
    lines += "\n" if body is None else f"Content-Length: {len(body.encode())}\n\n{body}"
    in_json, in_plain = event("json", json.dumps(whole).encode()), event("plain", lines.encode())
    assert in_json.headers == whole
    assert json.loads(in_json.text) == whole
    assert {k: v for k, v in in_plain.headers.items() if k != "Content-Length"} == {
        k: v.replace("\r\n", "\n") if k == "_body" else v for k, v in whole.items()
    }
    assert json.loads(in_plain.text) == in_plain.headers
    assert (in_json.name, in_json.subclass) == (in_plain.name, in_plain.subclass) == ("CUSTOM", "sofia::register")
    assert in_json.body == (body or "")


def test_json_stays_as_it_was_sent():
    text = '{ "Event-Name" : "DTMF", "n": 1.50, "list": ["a", "b"] }'
    found = event("json", text.encode())
    assert found.text == text
    assert found.header("n") is None
    assert found.headers["list"] == ["a", "b"]


@given(st.binary(max_size=80) | st.sampled_from([b'{"Event-Name":1}', b"[" * 5000, b'"\xff"']))
@pytest.mark.parametrize("kind", ["json", "plain", "xml"])
def test_any_body_is_an_event_or_the_documented_error(kind, body):
    try:
        found = event(kind, body)
    except EslError:
        return
    assert found.name


@pytest.mark.parametrize(
    ("kind", "body", "complaint"),
    [
        ("json", b"{", "an event that is no JSON"),
        ("json", b"{}", "an event without Event-Name"),
        ("plain", b"Event-Name: \n", "expected 'Name: value'|without Event-Name"),
        ("xml", b"<event/>", "expected an event in JSON or plain form, found 'text/event-xml'"),
    ],
)
def test_what_is_no_event_says_why(kind, body, complaint):
    with pytest.raises(EslError, match=complaint):
        event(kind, body)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("DTMF", ["DTMF"]),
        ("dtmf", ["DTMF"]),
        (" DTMF  HEARTBEAT ", ["DTMF", "HEARTBEAT"]),
        ("CUSTOM", ["CUSTOM"]),
        ("CUSTOM sofia::register sofia::expire", ["CUSTOM sofia::register", "CUSTOM sofia::expire"]),
        ("DTMF custom conference::maintenance", ["DTMF", "CUSTOM conference::maintenance"]),
        ("all", ["ALL"]),
    ],
)
def test_a_text_may_ask_for_several_events(text, found):
    assert [str(each) for each in subscriptions(text)] == found


@pytest.mark.parametrize("text", ["", " ", "DTMF\nexit", "DTMF\r", "a\0b", "Ä", "x" * 257])
def test_what_is_no_name_is_refused(text):
    with pytest.raises(EslError, match="expected the name of an event"):
        subscriptions(text)


@given(st.text())
def test_a_subscription_is_one_line_of_printable_words(text):
    try:
        found = subscriptions(text)
    except EslError:
        return
    assert found
    assert all(str(each).isprintable() and str(each).isascii() for each in found)


@pytest.mark.parametrize(
    ("wanted", "name", "subclass", "wants"),
    [
        ("DTMF", "DTMF", "", True),
        ("DTMF", "HEARTBEAT", "", False),
        ("ALL", "HEARTBEAT", "", True),
        ("CUSTOM", "CUSTOM", "sofia::register", True),
        ("CUSTOM sofia::register", "CUSTOM", "sofia::register", True),
        ("CUSTOM sofia::register", "CUSTOM", "sofia::expire", False),
        ("CUSTOM sofia::register", "DTMF", "", False),
    ],
)
def test_a_subscription_wants_its_events(wanted, name, subclass, wants):
    body = json.dumps({"Event-Name": name, "Event-Subclass": subclass}).encode()
    assert subscriptions(wanted)[0].wants(event("json", body)) is wants


@pytest.mark.parametrize(
    ("each", "other", "ended"),
    [
        (Subscription("DTMF"), Subscription("DTMF"), True),
        (Subscription("DTMF"), Subscription("HEARTBEAT"), False),
        (Subscription("DTMF"), Subscription("ALL"), True),
        (Subscription("ALL"), Subscription("DTMF"), True),
        (Subscription("CUSTOM", "a"), Subscription("CUSTOM"), True),
        (Subscription("CUSTOM", "a"), Subscription("CUSTOM", "b"), False),
        (Subscription("CUSTOM"), Subscription("CUSTOM", "b"), True),
    ],
)
def test_ending_one_may_end_others(each, other, ended):
    assert each.ended_by(other) is ended
