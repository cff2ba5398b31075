"""Translating texts by rules of a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import ConfigurationError, MIError
from miscript.modules.dialplan import partitions
from miscript.modules.dialplan.rules import Rule, RuleSet, TranslationError, compiled, replacement
from miscript.testing import RunningScript
from miscript.values import encode

COLUMNS = (
    "id(int,auto) dpid(int) pr(int) match_op(int) match_exp(string,null) match_flags(int) subst_exp(string,null) "
    "repl_exp(string,null) timerec(string,null) disabled(int) attrs(string,null) \n"
)


@dataclass
class Table:
    """`db_text` with a table of rules."""

    folder: Path
    version: int = 5
    rows: list[str] = field(default_factory=list)

    def add(
        self,
        dpid: int,
        match: str,
        repl: str = "",
        *,
        op: int = 1,
        subst: str = "",
        attrs: str = "",
        pr: int = 0,
        flags: int = 0,
        when: str = "",
        disabled: int = 0,
    ) -> Table:
        values = [len(self.rows) + 1, dpid, pr, op, match, flags, subst, repl, when, disabled, attrs]
        self.rows.append(":".join(str(value).replace("\\", "\\\\").replace(":", "\\:") for value in values))
        return self

    def write(self, name: str = "dialplan") -> Table:
        self.folder.mkdir(exist_ok=True)
        versions = "".join(f"{table}:{self.version}\n" for table in ("dialplan", "other"))
        (self.folder / "version").write_text(f"table_name(string) table_version(int) \n{versions}")
        (self.folder / name).write_text(COLUMNS + "".join(f"{row}\n" for row in self.rows))
        return self

    def script(self, parameters: str = "", body: str = "") -> RunningScript:
        self.write()
        return RunningScript(
            f"""
            log_level=1
            loadmodule "db_text.so"
            loadmodule "dialplan.so"
            loadmodule "mi_script.so"
            modparam("db_text", "db_mode", 1)
            modparam("dialplan", "db_url", "text://{self.folder}")
            {parameters}
            route {{ exit; }}
            route[t] {{
                $var(o) = "o"; $var(a) = "a";
                dp_translate($param(1), $param(2), $var(o), $var(a), $param(3));
                xlog("$rc <$var(o)> <$var(a)>");
            }}
            {body}
            """
        )


def translated(script: RunningScript, dpid: int, text: str, partition: str = "default") -> str:
    return script.route("t", dpid, text, partition).output


def examples(tmp_path: Path) -> Table:
    """The examples of the manual, and what the server made of others."""
    return (
        Table(tmp_path / "db")
        .add(1, r"^(0040|\+40|0|40)21[0-9]+", r"40\2", subst=r"^(0040|\+40|0|40)(.+)", attrs="ro", pr=2)
        .add(1, "SIP server", "OpenSIPS", op=0, pr=1)
        .add(1, "abc", "DEF", op=0, flags=1, attrs="ab")
        .add(2, "^((Germany)|(Deutschland))", "DE")
        .add(3, "^021456[0-9]{5}", attrs="serviceX")
        .add(4, "^z", r"<\1>|\0", subst="^(z)")
        .add(5, "^Q", r"<\1>", subst="nomatch(.)", flags=1)
        .add(6, "^a", r"[\2]\3", subst="^(a)(b)?(c)")
        .add(7, "^b", r"x\0y\1")
        .add(8, "^b", subst="^(b)", attrs="n")
    )


@pytest.mark.parametrize(
    ("dpid", "text", "expected"),
    [
        (1, "004021555", "1 <4021555> <ro>"),
        (1, "+4021555", "1 <4021555> <ro>"),
        (1, "SIP server", "1 <OpenSIPS> <>"),
        (1, "sip server", "-1 <o> <a>"),
        (1, "ABC", "1 <DEF> <ab>"),
        (2, "Deutschland", "1 <DE> <>"),
        (3, "02145612345", "1 <o> <serviceX>"),
        (4, "zz", "1 <<z>|z> <>"),
        (5, "qq", "-1 <o> <a>"),
        (6, "ac", "1 <[]c> <>"),
        (7, "b", r"1 <x\0y\1> <>"),
        (8, "b", "1 <o> <n>"),
        (9, "b", "-1 <o> <a>"),
        (1, "", "-1 <o> <a>"),
    ],
)
def test_texts_become_what_the_rules_say(tmp_path: Path, dpid: int, text: str, expected: str):
    with examples(tmp_path).script() as script:
        assert translated(script, dpid, text) == expected


def test_the_smallest_priority_wins_then_the_smallest_id(tmp_path: Path):
    table = Table(tmp_path / "db")
    table.add(2, "x", "eq", op=0, pr=5).add(2, "^x", "re", pr=4)
    table.add(3, "^y", "re", pr=5).add(3, "y", "eq", op=0, pr=5)
    table.add(4, "z", "folded", op=0, flags=1, pr=2).add(4, "z", "exact", op=0, pr=1).add(4, "z", "re", pr=3)
    with table.script() as script:
        found = [translated(script, *call).split()[1] for call in ((2, "x"), (3, "y"), (4, "z"), (4, "Z"))]
    assert found == ["<re>", "<re>", "<exact>", "<folded>"]


def test_rules_that_are_disabled_or_out_of_time_do_not_count(tmp_path: Path):
    table = Table(tmp_path / "db").add(5, "^d", "never", disabled=1)
    table.add(5, "^d", "past", when="20000101T000000|20000102T000000", pr=1).add(5, "^d", "last", pr=2)
    with table.script() as script:
        assert translated(script, 5, "d") == "1 <last> <>"


def test_rows_that_cannot_be_used_are_left_out_and_counted(tmp_path: Path):
    table = Table(tmp_path / "db").add(1, "good", "x").add(1, "").add(1, "b", op=3).add(1, "(b")
    table.add(1, "b", "x", subst="(b").add(1, "b", r"x\3", subst="b").add(1, "b", "x", when="junk|")
    with table.script() as script:
        assert translated(script, 1, "good") == "1 <x> <>" and translated(script, 1, "b") == "-1 <o> <a>"
        reports = [one["Log"] for one in script.mi("sr_list_reports", "dialplan", "default")]  # type: ignore[attr-defined]
        assert reports == [
            "starting DB data loading",
            "DB data loading successfully completed",
            "1 rules loaded (6 discarded)",
        ]


def test_commands_answer_as_the_server(tmp_path: Path):
    with examples(tmp_path).script() as script:
        assert script.mi("dp_translate", "1", "ABC") == {"Output": "DEF", "ATTRIBUTES": "ab"}
        assert script.mi("dp_translate", "8", "b") == {"Output": "", "ATTRIBUTES": "n"}
        for parameters, error in (
            (("1", "zzz"), "404 No translation"),
            (("5", "q"), "404 No translation"),
            (("9", "zzz"), "404 No information available for dpid"),
            (("x", "zzz"), "404 Wrong id parameter"),
            (("1", "ABC", "nope"), "400 Partition not found"),
        ):
            with pytest.raises(MIError, match=error):
                script.mi("dp_translate", *parameters)
        url = f"text://{tmp_path}/db"
        assert script.mi("dp_show_partition") == {
            "Partitions": [{"name": "default", "table": "dialplan", "db_url": url}]
        }
        assert script.mi("dp_show_partition", "default") == {
            "Partition": "default", "Table": "dialplan", "db_url": url
        }  # fmt: skip
        with pytest.raises(MIError, match="404 Partition Not Found"):
            script.mi("dp_show_partition", "nope")


def test_a_reload_takes_the_new_rules_or_keeps_the_old(tmp_path: Path):
    table = examples(tmp_path)
    with table.script() as script:
        table.add(1, "new", "N", op=0).write()
        assert script.mi("dp_reload") == "OK" and translated(script, 1, "new") == "1 <N> <>"
        table.version = 4
        table.write()
        with pytest.raises(MIError, match="500 Failed to reload"):
            script.mi("dp_reload", "default")
        assert translated(script, 1, "new") == "1 <N> <>"
        assert script.mi("sr_get_status", "dialplan", "default") == {
            "Readiness": True, "Status": 1, "Details": "data available"
        }  # fmt: skip
        with pytest.raises(MIError, match="400 Partition not found"):
            script.mi("dp_reload", "nope")


def test_partitions_have_their_own_tables(tmp_path: Path):
    Table(tmp_path / "db").add(1, "a", "other", op=0).write("other")
    table = Table(tmp_path / "db").add(1, "a", "own", op=0)
    with table.script('modparam("dialplan", "partition", "p2: table_name = other;")') as script:
        assert [translated(script, 1, "a", name) for name in ("default", "p2", "p3")] == [
            "1 <own> <>", "1 <other> <>", "-1 <o> <a>"
        ]  # fmt: skip


def test_a_table_of_another_version_stops_the_start(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="version"):
        Table(tmp_path / "db", version=4).script()


def test_the_default_partition_can_be_another_one():
    lines = ["pstn: table_name = t2; db_url = text:///x", "default: pstn"]
    assert [(p.name, p.table) for p in partitions(lines, "dialplan", "")] == [("pstn", "t2"), ("default", "t2")]


@pytest.mark.parametrize("line", ["", "x", "p: junk", "p: table_name", "p: color = red", "default: none", "p: "])
def test_a_partition_that_cannot_be_read_is_refused(line: str):
    with pytest.raises(ConfigurationError):
        partitions([line], "dialplan", "")


# -- rules alone ---------------------------------------------------------------------------------------------------


def rule(match: str, *, number: int = 1, priority: int = 0, equal: bool = False, caseless: bool = False) -> Rule:
    data = encode(match)
    matches = (data.lower() if caseless else data) if equal else compiled(match, caseless)
    return Rule(number, priority, matches, caseless, None, (b"x",), "", None)


def test_a_match_without_end_is_an_error_not_a_halt():
    rules = RuleSet()
    rules.add(rule("(a+)+$"))
    with pytest.raises(TranslationError, match="limit"):
        rules.find("a" * 50 + "b", 0)


def test_an_output_is_bounded():
    grown = Rule(1, 0, b"", False, compiled("(.*)", False), replacement(r"\1" * 10), "", None)
    with pytest.raises(TranslationError, match="1024"):
        grown.output(b"x" * 200)


@given(st.text(max_size=20))
def test_any_replacement_has_its_plain_text(text: str):
    pieces = replacement(text)
    if "\\" not in text:
        assert b"".join(piece for piece in pieces if isinstance(piece, bytes)) == encode(text)


@given(
    st.lists(st.tuples(st.sampled_from("aAbB"), st.integers(0, 3), st.booleans(), st.booleans()), max_size=8),
    st.sampled_from("aAbB"),
)
def test_the_rule_found_is_the_first_of_all_that_match(made: list[tuple[str, int, bool, bool]], text: str):
    all_rules = [
        rule(match, number=number, priority=priority, equal=equal, caseless=caseless)
        for number, (match, priority, equal, caseless) in enumerate(made)
    ]
    rules = RuleSet()
    for each in sorted(all_rules, key=lambda one: one.order):
        rules.add(each)
    expected = [each for each in all_rules if each.matches(encode(text), 0)]
    assert rules.find(text, 0) is min(expected, key=lambda one: one.order, default=None)
