"""Module textops: what leaves the host when scripts change the text of a message."""

from __future__ import annotations

import pytest

from miscript.errors import ScriptError
from miscript.sip import Message
from sip_phones import phone, running, send

SENT = (
    "INVITE sip:bob@example.com;user=phone;lr SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKone\n"
    'From: "Alice" <sip:alice@example.com>;tag=1\nTo: <sip:bob@example.com>\nCall-ID: one\nCSeq: 1 INVITE\n'
    "X-Foo: one\nX-Foo: two\nContent-Type: application/sdp\nContent-Length: {length}\n\n{body}"
)
BODY = "v=0\r\no=alice 1 1 IN IP4 10.0.0.1\r\na=ptime:20\r\na=ptime:30\r\n"
MODULES = 'loadmodule "textops.so"\n'


def passed_on(calls: str, body: str = BODY, sent: str = SENT) -> tuple[Message, list[str]]:
    """What comes out when `calls` have been made, and what each `CODE` said."""
    with running(f'route {{ {calls} $du = "sip:10.0.0.2"; forward(); }}', MODULES) as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, sent.format(length=len(body), body="").replace("\n", "\r\n") + body)
        (message,) = bob.take()
        return message, [line.strip() for line in script.output.splitlines()]


def lines(message: Message) -> list[str]:
    """All lines but those of Via and of the length, without their line ends."""
    text = message.data.decode().split("\n")
    return [line for line in text if not line.startswith(("Via:", "Content-Length:"))]


def changed(calls: str, **more: str) -> tuple[set[str], set[str]]:
    """The lines that have gone and those that have come."""
    before, after = lines(passed_on("", **more)[0]), lines(passed_on(calls, **more)[0])
    return set(before) - set(after), set(after) - set(before)


@pytest.mark.parametrize(
    ("call", "gone", "come"),
    [
        ('search_append("X-Foo: o", "APP")', "X-Foo: one\r", "X-Foo: oAPPne\r"),
        ('search_append("ptime:3", "0")', "a=ptime:30\r", "a=ptime:300\r"),
        ('search_append_body("PTIME:3", "0")', "a=ptime:30\r", "a=ptime:300\r"),
        ('replace("bob", "rob")', "To: <sip:bob@example.com>\r", "To: <sip:rob@example.com>\r"),
        ('replace("X-Foo: one", "X-Foo: $rm")', "X-Foo: one\r", "X-Foo: INVITE\r"),
        ('replace_body("ptime", "maxptime")', "a=ptime:20\r", "a=maxptime:20\r"),
        (r"subst('/^x-foo: (.*)e/X-Bar: \1$fU/i')", "X-Foo: one\r", "X-Bar: onalice\r"),
        (r"subst('/^To:(.*)sip:[^@]*@[a-z.]+(.*)$/t:\1\u\2/ig')", "To: <sip:bob@example.com>\r",
         "t: <sip:bob@example.com;user=phone;lr>\r"),
        (r"subst_body('/^o=([^ ]*) /o=$fU-\1 /')", "o=alice 1 1 IN IP4 10.0.0.1\r", 
         "o=alice-alice 1 1 IN IP4 10.0.0.1\r"),
        ("subst('|X-Foo: (t)|X-Bar: |')", "X-Foo: two\r", "X-Bar: wo\r"),
        ('replace_body_atonce("^o=.*\r\n", "o=x\r\n")', "o=alice 1 1 IN IP4 10.0.0.1\r", "o=x\r"),
    ],
)  # fmt: skip
def test_the_first_match_is_changed(call: str, gone: str, come: str) -> None:
    assert changed(f"{call};") == ({gone}, {come})


@pytest.mark.parametrize(
    ("call", "gone", "come"),
    [
        ('replace_all("X-Foo", "X-Bar")', {"X-Foo: one\r", "X-Foo: two\r"}, {"X-Bar: one\r", "X-Bar: two\r"}),
        ('replace_body_all("ptime", "p")', {"a=ptime:20\r", "a=ptime:30\r"}, {"a=p:20\r", "a=p:30\r"}),
        ('replace_body_atonce("^a=.*$", "a=x")', {"a=ptime:20\r", "a=ptime:30\r"}, {"a=x"}),
        (r"subst_body('/ptime:(.)/p:1\1/g')", {"a=ptime:20\r", "a=ptime:30\r"}, {"a=p:120\r", "a=p:130\r"}),
    ],
)
def test_all_matches_are_changed(call: str, gone: set[str], come: set[str]) -> None:
    assert changed(f"{call};") == (gone, come)


def test_the_length_follows_and_the_route_reads_what_came() -> None:
    message, said = passed_on(
        'replace_body_all("ptime", "p"); replace("X-Foo: one", "X-Foo: 1");'
        ' xlog("$(rb{s.len}) $cl $hdr(X-Foo)\\n"); if (search_body("ptime:20")) xlog("found\\n");'
    )
    assert message.content_length == len(BODY) - 8 == len(message.body)
    assert said == [f"{len(BODY)} {len(BODY)} one", "found"]


@pytest.mark.parametrize(
    "call",
    ['search_append("zzz", "x")', 'replace_body("X-Foo", "x")', 'replace_all("one.X-Foo", "x")', "subst('/zzz/x/')",
     "subst_uri('/zzz/x/')", "subst_user('/^/x/')"],
)  # fmt: skip
def test_what_matches_nothing_fails(call: str) -> None:
    message, said = passed_on(f'{call}; xlog("$rc\\n");')
    assert said == ["-1"]
    assert lines(message) == lines(passed_on("")[0])


def test_a_change_that_would_end_the_header_fields_is_refused() -> None:
    message, said = passed_on('replace("X-Foo: one", "X: 1\r\n\r\nX: 2"); xlog("$rc\\n");')
    assert said == ["-1"] and message.header("X-Foo") == "one"


@pytest.mark.parametrize(
    ("call", "uri"),
    [
        (r"subst_uri('/^sip:(.*)@(.*)$/sip:9\1@\2/i')", "sip:9bob@example.com;user=phone;lr"),
        ("subst_user('/b$/X$rm/')", "sip:boXINVITE@example.com;user=phone;lr"),
        ("subst_user('/b/X/g')", "sip:XoX@example.com;user=phone;lr"),
        ("subst_user('/bob//')", "sip:example.com;user=phone;lr"),
        ("subst_uri('/^sip://')", "sip:bob@example.com;user=phone;lr"),
    ],
)
def test_the_request_uri_is_changed_at_once_unless_it_would_be_none(call: str, uri: str) -> None:
    message, said = passed_on(f'{call}; xlog("$ru\\n");')
    assert said == [uri] and message.uri == uri


@pytest.mark.parametrize("expression", ["subst('x')", "subst('/(/x/')", "subst_body('/a/b/z')", "subst_user('//x/')"])
def test_what_is_no_substitution_is_told_when_the_script_is_loaded(expression: str) -> None:
    with pytest.raises(ScriptError):
        passed_on(f"{expression};")


def test_changes_by_several_modules_go_out_together() -> None:
    with running(
        'route { fix_nated_sdp("rewrite-media-ip", "9.9.9.9"); replace_body("ptime", "p"); append_hf("X-New: 1\r\n");'
        ' $sdp.line(a=ptime) = "a=x"; $du = "sip:10.0.0.2"; forward(); }',
        MODULES + 'loadmodule "nathelper.so"\n',
    ) as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        body = BODY.replace("a=ptime:20", "c=IN IP4 10.0.0.1\r\na=ptime:20")
        send(script, alice, SENT.format(length=len(body), body="").replace("\n", "\r\n") + body)
        (message,) = bob.take()
    assert message.header("X-New") == "1"
    assert b"c=IN IP4 9.9.9.9\r\na=p:20\r\na=x\r\n" in message.body
    assert message.content_length == len(message.body)
