"""URLs and raw queries of cachedb_redis, and what servers say of their topology."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.cachedb import CacheError, Written
from miscript.errors import ConfigurationError
from miscript.modules.cachedb_redis.query_words import is_status, key_in, needs_own_connection, query_words
from miscript.modules.cachedb_redis.topology import slot_of, slots_in_ranges, slots_in_shards
from miscript.modules.cachedb_redis.urls import parse_url


def test_urls_of_the_manual_are_read():
    one = parse_url("redis:group1://localhost:6379/")
    assert (one.name, one.hosts, one.user, one.password, one.database) == (
        "redis:group1", (("localhost", 6379),), "", "", 0
    )  # fmt: skip
    two = parse_url("redis://bob:se@cret@[::1]:7000,b/2?tls_domain=dom")
    assert two.name == "redis" and two.hosts == (("::1", 7000), ("b", 6379))
    assert (two.user, two.password, two.database, two.tls_domain) == ("bob", "se@cret", 2, "dom")
    three = parse_url("redis:local://:pw@localhost/?socket=/run/redis.sock")
    assert (three.password, three.socket) == ("pw", "/run/redis.sock") and "pw" not in three.shown


@pytest.mark.parametrize(
    "text",
    [
        "", "redis", "mysql://x/", "redis://", "redis:///0", "redis://h:0/", "redis://h:99999/", "redis://pw@h/",
        "redis://h/x", "redis://h/?x=1", "redis://a,b/?socket=/s", "redis:a:b://h/", "redis://h/?socket=",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused(text: str):
    with pytest.raises(ConfigurationError):
        parse_url(text)


def test_messages_have_no_password():
    with pytest.raises(ConfigurationError) as failed:
        parse_url("redis://:secret@h/x")
    assert "secret" not in str(failed.value)


@given(st.text(st.sampled_from("redis:/@,0a?=[]&"), max_size=30))
def test_any_text_is_a_url_or_refused(text: str):
    try:
        parse_url(text)
    except ConfigurationError:
        pass


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("GET a", ["GET", "a"]),
        ("  SET  q 'a b'  ", ["SET", "q", "a b"]),
        ('SET q "a \\" b"c \'\'', ["SET", "q", 'a " bc', ""]),
    ],
)
def test_words_are_separated_by_blanks_outside_quotes(text: str, words: list[str]):
    assert query_words([Written(text)]) == words


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_value_is_a_part_of_one_word(one: str, two: str):
    query = [Written("SET a"), one, Written(" 'x"), two, Written("y' "), two]
    assert query_words(query) == ["SET", f"a{one}", f"x{two}y", two]


@pytest.mark.parametrize("text", ["", "  ", "GET 'a", '"'])
def test_a_query_without_words_is_refused(text: str):
    with pytest.raises(CacheError):
        query_words([Written(text)])


@given(
    st.lists(
        st.one_of(st.text(st.sampled_from("a '\"\\"), max_size=6), st.builds(Written, st.text("a '\"\\"))), max_size=5
    )
)
def test_any_query_has_words_or_is_refused(query: list[str | Written]):
    try:
        assert query_words(query)
    except CacheError:
        pass


def test_the_key_of_a_command_is_found():
    assert key_in([b"get", b"a"]) == b"a" and key_in([b"PING"]) is None
    assert key_in([b"EVAL", b"return 1", b"1", b"k", b"x"]) == b"k" and key_in([b"eval", b"x", b"0"]) is None
    assert key_in([b"OBJECT", b"ENCODING", b"k"]) == b"k"


def test_slots_are_those_of_redis():
    assert slot_of(b"123456789") == 0x31C3 and slot_of(b"a{b}c") == slot_of(b"b") and slot_of(b"{}a") != slot_of(b"a")


def test_both_commands_tell_the_same_topology():
    shards = [
        [b"slots", [0, 1, 5, 5], b"nodes", [
            [b"id", b"x", b"port", 7000, b"ip", b"10.0.0.1", b"endpoint", b"10.0.0.1", b"role", b"master",
             b"health", b"online"],
            [b"id", b"y", b"port", 7001, b"ip", b"10.0.0.2", b"endpoint", b"10.0.0.2", b"role", b"replica",
             b"health", b"online"],
        ]],
        {b"slots": [2, 4], b"nodes": [{b"port": 7002, b"endpoint": b"?", b"role": b"master", b"health": b"online"}]},
    ]  # fmt: skip
    ranges = [[0, 1, [b"10.0.0.1", 7000, b"x"]], [5, 5, [b"10.0.0.1", 7000, b"x"]], [2, 4, [b"", 7002, b"z"]]]
    one, two = ("10.0.0.1", 7000), ("10.0.0.9", 7002)
    expected = {0: one, 1: one, 5: one, 2: two, 3: two, 4: two}
    assert slots_in_shards(shards, ("10.0.0.9", 1)) == slots_in_ranges(ranges, ("10.0.0.9", 1)) == expected


def test_commands_that_wait_or_change_a_connection_have_one_of_their_own():
    for word in (b"blpop", b"SELECT", b"Multi", b"SUBSCRIBE", b"XREAD", b"CLIENT"):
        assert needs_own_connection([word, b"a"])
    for word in (b"GET", b"HGETALL", b"EVAL", b"LPOP", b"CLUSTER"):
        assert not needs_own_connection([word, b"a"])


def test_a_status_is_no_value_but_a_text_that_somebody_stored_is():
    assert is_status([b"SET", b"a", b"b"], b"OK") and is_status([b"ping"], b"PONG")
    assert not is_status([b"get", b"a"], b"OK") and not is_status([b"SET", b"a", b"b"], b"other")
    assert not is_status([b"LRANGE", b"l", b"0", b"-1"], [b"OK"])
