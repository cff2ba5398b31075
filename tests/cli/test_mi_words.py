"""The words of `miscript mi` as parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.cli.mi_words import ARRAYS, MixedWordsError, parameters


@pytest.mark.parametrize(
    ("command", "words", "params"),
    [
        ("uptime", [], None),
        ("log_level", ["3", "12"], ["3", "12"]),
        ("log_level", ["level=3", "pid=12"], {"level": "3", "pid": "12"}),
        ("x", ["a=b=c"], {"a": "b=c"}),
        ("x", ["a="], {"a": ""}),
        ("x", ["a=1", "a=2"], {"a": ["1", "2"]}),
        ("x", ["sip:a@b;transport=udp"], ["sip:a@b;transport=udp"]),
        ("get_statistics", ["shmem:", "load"], {"statistics": ["shmem:", "load"]}),
        ("get_statistics", ["statistics=load"], {"statistics": ["load"]}),
        ("get_statistics", ["statistics=shmem: 'a b'"], {"statistics": ["shmem:", "a b"]}),
        ("get_statistics", ["statistics=it's"], {"statistics": ["it's"]}),
        ("statistics:get", ["statistics=a", "statistics=b"], {"statistics": ["a", "b"]}),
        ("raise_event", ["E_X"], ["E_X"]),
        ("raise_event", ["E_X", "a", "b"], ["E_X", ["a", "b"]]),
        ("dlg_push_var", ["name=v", "DID=1.2"], {"name": "v", "DID": ["1.2"]}),
        ("nobody's", ["statistics=load"], {"statistics": "load"}),
    ],
)
def test_words_are_parameters_by_name_or_by_position(command, words, params):
    assert parameters(command, tuple(words), json=False, positional=False) == params


def test_named_and_nameless_words_do_not_mix():
    with pytest.raises(MixedWordsError, match="'b' has no name"):
        parameters("x", ("a=1", "b"), json=False, positional=False)


def test_with_positional_no_word_has_a_name():
    assert parameters("x", ("a=1", "b"), json=False, positional=True) == ["a=1", "b"]


def test_with_json_values_what_is_json_is_taken_as_that():
    words = ("a=1", "b=[1,2]", "c=word", 'd="1"')
    wanted = {"a": 1, "b": [1, 2], "c": "word", "d": "1"}
    assert parameters("x", words, json=True, positional=False) == wanted
    assert parameters("get_statistics", ('["a","b"]',), json=True, positional=False) == [["a", "b"]]


@given(st.sampled_from([*ARRAYS, "x"]), st.lists(st.text()), st.booleans(), st.booleans())
def test_any_words_are_parameters_or_mixed(command, words, json, positional):
    try:
        params = parameters(command, tuple(words), json=json, positional=positional)
    except MixedWordsError:
        assert not positional
        return
    assert (params is None) == (not words)
