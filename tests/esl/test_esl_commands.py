"""The bytes of the client's commands: one text, one command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.esl import EslError, EventSocketAddress, MessageReader, subscriptions
from miscript.esl import commands as write


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("api status", b"api status\n\n"),
        ("api status\n", b"api status\n\n"),
        ("api status\r\n\r\n", b"api status\n\n"),
        ("bgapi status\njob-uuid: foobar", b"bgapi status\njob-uuid: foobar\n\n"),
        ("api echo \xe9\udcff", b"api echo \xc3\xa9\xff\n\n"),
        ("sendmsg 7\ncontent-type: text/plain\ncontent-length: 3\n\na\n\n", None),
        ("sendmsg 7\ncontent-length: 4\n\na\n\nb", b"sendmsg 7\ncontent-length: 4\n\na\n\nb"),
    ],
)
def test_a_command_is_sent_as_it_stands(text, data):
    assert write.command(text) == (data or text.encode())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the command is empty"),
        ("\n\n", "the command is empty"),
        ("  \n", "the command is empty"),
        ("api a\n\napi b", "an empty line ends the command"),
        ("api a\r\n\r\napi b", "an empty line ends the command"),
        ("api a\r\rapi b", "an empty line ends the command"),
        ("api a\0b", "NUL"),
        ("sendmsg\ncontent-length: 4\n\nabcde", "says that its body has 4 bytes, found 5"),
        ("sendmsg\ncontent-length: 4", "says that its body has 4 bytes, found 0"),
        ("api " + "x" * 65536, "expected at most 65536"),
    ],
)
def test_no_text_becomes_two_commands_or_none(text, complaint):
    with pytest.raises(EslError, match=complaint):
        write.command(text)


@given(st.text(st.sampled_from("a:\n\r content-length2 \0é"), max_size=60) | st.text(max_size=40))
def test_any_text_is_one_command_or_the_documented_error(text):
    try:
        data = write.command(text)
    except (EslError, UnicodeEncodeError):
        return
    head, _, body = data.partition(b"\n\n")
    assert head.strip()
    assert b"\n\n" not in head
    if body:
        reader = MessageReader()
        reader.receive(b"command: " + data)
        assert reader.next_message().body == body


def test_logins_with_and_without_a_user():
    assert write.login(EventSocketAddress("h", password="Clue Con")) == b"auth Clue Con\n\n"
    assert write.login(EventSocketAddress("h", user="a@b", password="pw")) == b"userauth a@b:pw\n\n"


def test_subscriptions():
    (custom,) = subscriptions("CUSTOM sofia::register")
    assert write.subscribe(custom) == b"event json CUSTOM sofia::register\n\n"
    assert write.unsubscribe(custom) == b"nixevent CUSTOM sofia::register\n\n"


def test_a_background_job_has_a_uuid_of_ours():
    assert write.background("originate user/1 9386", "7") == b"bgapi originate user/1 9386\nJob-UUID: 7\n\n"
    with pytest.raises(EslError, match="one line"):
        write.background("status\nJob-UUID: 8", "7")
