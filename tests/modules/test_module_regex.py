"""Matching with Perl-compatible regular expressions."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import ConfigurationError, MIError
from miscript.modules.regex import GroupError, Regex, pcre_subst, read_groups
from miscript.pcre import PcreOption
from module_services import module_services, new_run, var

GROUPS = "# agents\n[0]\n^abc\n^def\n indented\n[1]\n^\\d+$\n[7]\nfoo.*bar\n"


def regex(file: Path | None = None, text: str = GROUPS, **parameters: int) -> Regex:
    module = Regex(module_services())
    if file is not None:
        file.write_text(text)
        module.set_parameter("file", str(file))
    for name, value in parameters.items():
        module.set_parameter(name, value)
    module.init()
    return module


def test_the_part_that_matched_is_stored_and_cleared():
    module, run = regex(), new_run()
    assert module.pcre_match(run, "hello world", "w(or)ld", var()) == 1 and var().get(run) == "world"
    assert module.pcre_match(run, "hello world", "xx", var()) == -1 and var().get(run) is None
    assert module.pcre_match(run, "", "a*", var()) == 1 and var().get(run) == ""
    assert module.pcre_match(run, "HELLO", r"(?i)^hel\Qlo\E") == 1


def test_an_expression_that_cannot_be_compiled_is_minus_4():
    assert regex().pcre_match(new_run(), "x", "(x") == -4


def test_a_match_without_end_is_no_match():
    assert regex().pcre_match(new_run(), "a" * 40 + "b", "(a+)+$") == -1


def test_parameters_are_options_of_every_expression(tmp_path: Path):
    module, run = regex(tmp_path / "g", pcre_caseless=1), new_run()
    assert module.pcre_match(run, "ABC", "b") == module.pcre_match_group(run, "ABC") == 1
    assert module.mi_match("ABC", "b") == "Match"


def test_groups_count_in_the_order_of_the_file(tmp_path: Path):
    module, run = regex(tmp_path / "g"), new_run()
    codes = [module.pcre_match_group(run, *call) for call in (("abcx",), ("abcx", 1), ("123", 1), ("fooxbar", 2))]
    assert codes == [1, -1, 1, 1]
    assert module.pcre_match_group(run, "fooxbar", 7) == -4 and module.pcre_match_group(run, "abc", -1) == -1


def test_without_a_file_there_are_no_groups():
    module = regex()
    assert module.pcre_match_group(new_run(), "abc") == -2
    with pytest.raises(MIError, match="403 Group matching not enabled"):
        asyncio.run(module.mi_reload())
    with pytest.raises(MIError, match="500 Error group matching is disabled"):
        module.mi_match_group("abc", 0)


def test_commands_tell_match_and_not_match(tmp_path: Path):
    module = regex(tmp_path / "g")
    assert [module.mi_match("1234", p) for p in ("^12", "^13")] == ["Match", "Not Match"]
    assert [module.mi_match_group("123", n) for n in (1, 0)] == ["Match", "Not Match"]
    with pytest.raises(MIError, match="500 Error pcre_re compilation"):
        module.mi_match("1", "(")
    with pytest.raises(MIError, match="500 Error invalid pcre index"):
        module.mi_match_group("1", 3)


async def test_a_reload_takes_the_new_groups_or_keeps_the_old(tmp_path: Path):
    module, run = regex(tmp_path / "g"), new_run()
    (tmp_path / "g").write_text("[0]\n^new\n")
    assert await module.mi_reload() == "OK" and module.pcre_match_group(run, "new") == 1
    for bad in ("[0]\n(x\n", "^x\n", "[0]\n" * 21, "[0]\n" + "x" * 9000):
        (tmp_path / "g").write_text(bad)
        with pytest.raises(MIError, match="500 Internal error"):
            await module.mi_reload()
        assert module.pcre_match_group(run, "new") == 1


@pytest.mark.parametrize("text", ["[0]\n(x\n", "^x\n[0]\ny\n", "[0]\na)(b\n", "[0]\n(a\nb)\n"])
def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path, text: str):
    with pytest.raises(ConfigurationError):
        regex(tmp_path / "g", text)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path):
    module = Regex(module_services())
    module.set_parameter("file", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        module.init()


def test_an_empty_group_matches_the_empty_text_alone():
    (group,) = read_groups(b"[0]\n", PcreOption.NONE, 20, 100)
    assert group.search(b"") is not None and group.search(b"x") is None


@given(st.binary(max_size=60))
def test_any_file_gives_groups_or_its_error(data: bytes):
    try:
        read_groups(data, PcreOption.NONE, 20, 8192)
    except GroupError:
        pass


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (r"/\Q+123456789\E/123456789/", "sip:123456789@127.0.0.1"),
        (r"/\d(\d)/<\1>/g", "sip:+<2><4><6><8>9@<2>7.0.0.1"),
        ("/zzz/y/", "sip:+123456789@127.0.0.1"),
        (r"/SIP/\0\0/i", "sipsip:+123456789@127.0.0.1"),
        ("|sip|x|gi", "x:+123456789@127.0.0.1"),
        ("/s i p/x/x", "x:+123456789@127.0.0.1"),
        (r"/sip/\t|\//", "\t|/:+123456789@127.0.0.1"),
        ("/(zzz/y/", None),
        ("/SIP/x/q", None),
        ("/x*/-/g", None),
        (r"/sip/\7/", None),
        ("/sip/x", None),
        ("", None),
    ],
)
def test_substitutions_are_the_servers(expression: str, expected: str | None):
    assert pcre_subst("sip:+123456789@127.0.0.1", expression) == expected


def test_nothing_and_the_empty_text_stay_null():
    assert pcre_subst(None, "/a/b/") is None and pcre_subst("", "/^/x/") is None


@given(st.text(max_size=30), st.text(st.sampled_from("/ab\\1.*()gi|"), max_size=20))
def test_any_substitution_gives_a_text_or_null(text: str, expression: str):
    result = pcre_subst(text, expression)
    assert result is None or isinstance(result, str)
