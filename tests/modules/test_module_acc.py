"""A proxy that accounts calls: in its log, as events, in a database."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from dialog_calls import Call, call
from miscript.errors import ScriptError

EVENTS = """
event_route[E_ACC_EVENT] { xlog("EVENT $param(method) $param(sip_code) $param(sip_reason) $param(x) $param(z)\\n"); }
event_route[E_ACC_MISSED_EVENT] {
    xlog("MISSED $param(method) $param(sip_code) $param(sip_reason) $param(setuptime) $param(created)\\n");
}
event_route[E_ACC_CDR] {
    xlog("CDR $param(method) $param(from_tag) $param(to_tag) $param(callid) $param(sip_code) $param(time) ");
    xlog("$param(x) $param(z) $param(duration) $param(ms_duration) $param(setuptime) $param(created)\\n");
}
"""
ACC = 'loadmodule "acc.so"\n'


class Accounted:
    """A call through a script that accounts, and the lines that it logs."""

    def __init__(self, caplog: pytest.LogCaptureFixture, parameters: str = "", **parts: str) -> None:
        caplog.set_level(logging.INFO, logger="miscript.acc")
        self._caplog = caplog
        more = parts.pop("more", "")
        self.call: Call = call(parameters=f"{ACC}{parameters}", more=f"{EVENTS}{more}", **parts)
        logging.getLogger("miscript").setLevel(logging.INFO)

    @property
    def lines(self) -> list[str]:
        """The records in the log, without their times."""
        texts = [r.getMessage() for r in self._caplog.records if r.getMessage().startswith("ACC: ")]
        return [text.partition("method=")[0].split(": ")[1] + " " + text.partition("method=")[2] for text in texts]

    @property
    def full_lines(self) -> list[str]:
        return [r.getMessage() for r in self._caplog.records if r.getMessage().startswith("ACC: ")]

    @property
    def printed(self) -> list[str]:
        self.call.script.settle()
        return self.call.script.output.splitlines()

    def fail(self, status: int = 486) -> None:
        """Let alice call, and bob refuse."""
        self.call.request("INVITE")
        self.call.bob.reply(self.call.bob.only("INVITE"), status)

    def talk(self, seconds: float = 0) -> None:
        """Let them talk for so long, and alice hang up."""
        self.call.established()
        self.call.script.advance(seconds)
        self.call.request("BYE")
        self.call.bob.reply(self.call.bob.only("BYE"), 200)
        self.call.script.settle()


PARTY = "from_tag=al;to_tag=bo;call_id=call-1"


# -- transactions -----------------------------------------------------------------------------------------------------


def test_an_answered_transaction_has_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(caplog, initial='do_accounting("log");')
    acc.talk()
    assert acc.lines == [f"transaction answered INVITE;{PARTY};code=200;reason=Whatever"]
    now = int(acc.call.script.clock.time())
    assert acc.full_lines[0].startswith(f"ACC: transaction answered: timestamp={now};created={now};setuptime=0;method=")


def test_a_request_in_the_dialog_has_its_own(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(caplog, sequential='if (is_method("BYE")) do_accounting("log");')
    acc.talk()
    assert acc.lines == [f"transaction answered BYE;{PARTY};code=200;reason=Whatever"]


def test_who_asks_for_nothing_gets_nothing(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(caplog)
    acc.talk()
    assert acc.lines == [] and acc.printed == []


def test_a_failed_transaction_is_accounted_when_that_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    plain = Accounted(caplog, initial='do_accounting("log");')
    plain.fail()
    assert plain.lines == []
    acc = Accounted(caplog, initial='do_accounting("log|evi", "failed");')
    acc.fail()
    assert acc.lines == [f"transaction answered INVITE;{PARTY};code=486;reason=Whatever"]
    assert acc.printed[0].startswith("EVENT INVITE 486 Whatever")


def test_a_missed_call_is_accounted_before_the_failure_route(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(
        caplog,
        initial='do_accounting("log|evi", "missed|failed");',
        failure='xlog("failure route\\n"); acc_log_request("999 in the route");',
    )
    acc.fail()
    assert [line.split(" INVITE")[0] for line in acc.lines] == [
        "call missed",
        "request accounted",
        "transaction answered",
    ]


def test_each_destination_is_missed_when_the_script_asks_again(caplog: pytest.LogCaptureFixture) -> None:
    again = 'do_accounting("log", "missed"); $du = "sip:10.0.0.3:5060"; t_on_failure("last"); t_relay(); exit;'
    acc = Accounted(
        caplog,
        initial='do_accounting("log", "missed");',
        failure=again,
        more='failure_route[last] { $du = "sip:10.0.0.3:5060"; t_relay(); }',
    )
    acc.call.request("INVITE")
    for status in (486, 480, 404):
        acc.call.bob.reply(acc.call.bob.only("INVITE"), status)
    assert [line.partition("code=")[2] for line in acc.lines] == ["486;reason=Whatever", "480;reason=Whatever"]


def test_a_reply_of_our_own_is_accounted_with_its_usual_reason(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(caplog, initial='do_accounting("log", "missed|failed"); t_reply(486, "Not now"); exit;')
    acc.call.request("INVITE")
    party = "from_tag=al;to_tag=;call_id=call-1"
    assert acc.lines == [
        f"call missed INVITE;{party};code=486;reason=Busy Here",
        f"transaction answered INVITE;{party};code=486;reason=Busy Here",
    ]


def test_a_final_reply_that_comes_again_is_accounted_once(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(caplog, initial='do_accounting("log");')
    invite = acc.call.ring()
    for _ in range(3):
        acc.call.bob.reply(invite, 200)
    assert len(acc.lines) == 1


def test_early_media_is_accounted_when_that_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(caplog, 'modparam("acc", "early_media", 1)', initial='do_accounting("log");')
    acc.call.request("INVITE")
    invite = acc.call.bob.only("INVITE")
    acc.call.bob.reply(invite, 180)
    acc.call.bob.reply(invite, 183, body="v=0\r\n")
    assert acc.lines == [f"transaction answered INVITE;{PARTY};code=183;reason=Whatever"]


@pytest.mark.parametrize(("value", "party"), [(0, "from_tag=bo;to_tag=al"), (1, "from_tag=al;to_tag=bo")])
def test_the_ends_of_a_request_from_the_callee_can_be_as_in_the_first_one(
    caplog: pytest.LogCaptureFixture, value: int, party: str
) -> None:
    acc = Accounted(caplog, f'modparam("acc", "detect_direction", {value})', sequential='do_accounting("log");')
    acc.call.established()
    acc.call.request("BYE", by="bob")
    acc.call.alice.reply(acc.call.alice.only("BYE"), 200)
    assert acc.lines == [f"transaction answered BYE;{party};call_id=call-1;code=200;reason=Whatever"]


def test_what_was_wanted_can_be_taken_back(caplog: pytest.LogCaptureFixture) -> None:
    cases = {
        "drop_accounting();": [],
        'drop_accounting("evi");': ["call missed", "transaction answered"],
        'drop_accounting("log", "missed");': ["transaction answered"],
        'drop_accounting("log|evi", "missed|failed");': [],
        'drop_accounting("log"); do_accounting("log", "failed");': ["transaction answered"],
    }
    for statement, expected in cases.items():
        caplog.clear()
        acc = Accounted(caplog, initial=f'do_accounting("log|evi", "missed|failed"); {statement}')
        acc.fail()
        assert [line.split(" INVITE")[0] for line in acc.lines] == expected, statement


# -- records at once --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comment", "expected", "event"),
    [
        ("404 Not found here", "code=404;reason=Not found here", "MISSED INVITE 404 Not found here"),
        ("200 fine", "code=200;reason=fine", "EVENT INVITE 200 fine"),
        ("486", "code=486;reason=", "MISSED INVITE 486"),
        ("4861 x", "code=;reason=4861 x", "MISSED INVITE  4861 x"),
        ("hello", "code=;reason=hello", "MISSED INVITE  hello"),
    ],
)
def test_a_request_can_be_accounted_at_once(
    caplog: pytest.LogCaptureFixture, comment: str, expected: str, event: str
) -> None:
    acc = Accounted(caplog, initial=f'acc_log_request("{comment}"); acc_evi_request("{comment}"); exit;')
    acc.call.request("INVITE")
    assert acc.lines == [f"request accounted INVITE;from_tag=al;to_tag=;call_id=call-1;{expected}"]
    assert acc.printed[0].startswith(event)


def test_a_record_is_one_line_whatever_is_in_it(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(
        caplog,
        'modparam("acc", "extra_fields", "log: a")',
        initial='$acc_extra(a) = "one\\r\\nACC: faked"; acc_log_request("200 a\\nb"); exit;',
    )
    acc.call.request("INVITE")
    assert acc.lines[0].endswith("code=200;reason=a b;a=one  ACC: faked")


# -- extra values and legs --------------------------------------------------------------------------------------------

FIELDS = """
modparam("acc", "extra_fields", "log: a->test_a; b")
modparam("acc", "extra_fields", "evi: a->x")
modparam("acc", "leg_fields", "log: l->leg; m")
modparam("acc", "leg_fields", "evi: l->z")
"""
LEGS = (
    '$acc_extra(a) = "A"; do_accounting("log|evi", "WHAT"); $acc_extra(b) = 12; $acc_leg(l) = "l0"; acc_new_leg(); '
    '$acc_leg(l) = "l1"; $(acc_leg(m)[0]) = "m0";'
)


def test_extra_values_and_legs_stand_in_the_line(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(caplog, FIELDS, initial=LEGS.replace(', "WHAT"', ""))
    acc.talk()
    assert acc.lines[0].endswith(";test_a=A;b=12;leg=l0;m=m0;leg=l1;m=")
    assert [line for line in acc.printed if line.startswith("EVENT INVITE")] == [
        "EVENT INVITE 200 Whatever A l0",
        "EVENT INVITE 200 Whatever A l1",
    ]


def test_legs_are_read_by_their_number(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(
        caplog,
        FIELDS,
        initial=LEGS.replace(', "WHAT"', "")
        + 'xlog("$acc_current_leg $acc_leg(l) $(acc_leg(l)[0]) $(acc_leg(l)[-2]) $(acc_leg(l)[2]) ");'
        + 'xlog("$acc_leg(m)\\n"); exit;',
    )
    acc.call.request("INVITE")
    assert acc.printed == ["1 l1 l0 l0 <null> <null>"]


def test_values_set_before_are_kept_when_accounting_begins_and_are_seen_by_replies(
    caplog: pytest.LogCaptureFixture,
) -> None:
    acc = Accounted(
        caplog,
        FIELDS,
        initial='$acc_extra(a) = "early"; do_accounting("log");',
        reply='xlog("in the reply: $acc_extra(a)\\n"); $acc_extra(b) = $rs;',
    )
    acc.talk()
    assert acc.lines[0].endswith(";test_a=early;b=200;leg=;m=")
    assert acc.printed[0] == "in the reply: early"


def test_without_leg_fields_there_are_no_legs(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(caplog, initial='do_accounting("log"); acc_new_leg(); xlog("$rc $acc_current_leg\\n"); exit;')
    acc.call.request("INVITE")
    assert acc.printed == ["-1 <null>"]


# -- calls ------------------------------------------------------------------------------------------------------------


def test_a_call_has_one_record_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(
        caplog, FIELDS, initial=LEGS.replace("WHAT", "cdr"), sequential='do_accounting("log"); $acc_extra(b) = $rm;'
    )
    invite = acc.call.ring()
    begun = int(acc.call.script.clock.time())
    acc.call.script.advance(3)
    acc.call.answer(invite)
    acc.call.script.advance(61.5)
    acc.call.request("BYE")
    acc.call.bob.reply(acc.call.bob.only("BYE"), 200)
    (line,) = acc.full_lines
    assert line == (
        f"ACC: call ended: created={begun};call_start_time={begun + 3};duration=61;ms_duration=61500;setuptime=3;"
        f"method=INVITE;{PARTY};code=200;reason=Whatever;test_a=A;b=BYE;leg=l0;m=m0;leg=l1;m="
    )
    assert acc.printed == [
        f"CDR INVITE al bo call-1 200 {begun + 3} A {leg} 61 61500 3 {begun}" for leg in ("l0", "l1")
    ]


def test_a_call_that_was_never_answered_has_no_record_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(caplog, initial='do_accounting("log", "cdr");')
    acc.fail()
    assert acc.lines == []
    both = Accounted(caplog, initial='do_accounting("log", "cdr|missed");')
    both.fail()
    assert [line.split(" INVITE")[0] for line in both.lines] == ["call missed"]


def test_a_call_that_is_ended_by_its_time_has_a_record(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(caplog, initial='do_accounting("log", "cdr"); $DLG_timeout = 30;')
    acc.call.established()
    acc.call.script.advance(31)
    acc.call.script.settle()
    assert ";duration=30;" in acc.full_lines[0]


def test_cdr_makes_the_dialog_that_it_needs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="miscript.acc")
    acc = Accounted(caplog, initial='do_accounting("log", "cdr");')
    acc.talk()
    assert acc.call.statistic("processed_dialogs") == 1 and len(acc.lines) == 1


def test_the_values_of_another_call_can_be_read_and_changed(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(
        caplog,
        FIELDS,
        initial='$acc_extra(a) = "first"; do_accounting("log", "cdr");',
        more="""
timer_route[look, 1000] {
    $var(r) = 1;
}
route[look] {
    acc_load_ctx_from_dlg(); xlog("without: $rc\\n");
    load_dialog_ctx("call-1");
    acc_load_ctx_from_dlg(); xlog("with: $rc $acc_extra(a)\\n"); $acc_extra(b) = "seen";
    acc_load_ctx_from_dlg(); xlog("twice: $rc\\n");
    acc_unload_ctx_from_dlg(); xlog("unloaded: $rc\\n");
    acc_unload_ctx_from_dlg(); xlog("twice: $rc\\n");
    unload_dialog_ctx();
    xlog("behind: $acc_extra(a)\\n");
}
""",
    )
    acc.call.established()
    acc.call.script.route("look")
    assert acc.printed == [
        "without: -1", "with: 1 first", "twice: -1", "unloaded: 1", "twice: -1", "behind: <null>",
    ]  # fmt: skip
    acc.call.request("BYE")
    acc.call.bob.reply(acc.call.bob.only("BYE"), 200)
    assert acc.lines[0].endswith(";test_a=first;b=seen;leg=;m=")


def test_a_bye_that_nobody_relays_ends_the_call_too(caplog: pytest.LogCaptureFixture) -> None:
    for what in ("exit;", 'sl_send_reply(200, "OK"); exit;', 't_reply(200, "OK"); exit;'):
        caplog.clear()
        acc = Accounted(
            caplog, initial='do_accounting("log", "cdr");', sequential=f'if (is_method("BYE")) {{ {what} }}'
        )
        acc.call.established()
        acc.call.script.advance(5)
        acc.call.request("BYE")
        assert len(acc.lines) == 1 and ";duration=5;" in acc.full_lines[0], what


def test_a_bye_that_comes_again_ends_the_call_once(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(caplog, initial='do_accounting("log", "cdr");')
    acc.call.established()
    acc.call.request("BYE")
    bye = acc.call.bob.only("BYE")
    acc.call.request("BYE", cseq=3)
    acc.call.bob.reply(bye, 200)
    acc.call.request("BYE", cseq=4)
    assert len(acc.lines) == 1


# -- the database -----------------------------------------------------------------------------------------------------

TABLES = """
CREATE TABLE acc (method TEXT, from_tag TEXT, to_tag TEXT, callid TEXT, sip_code TEXT, sip_reason TEXT,
    time INTEGER, duration INTEGER DEFAULT 0, ms_duration INTEGER DEFAULT 0, setuptime INTEGER, created INTEGER,
    col_a TEXT, col_l TEXT);
CREATE TABLE missed_calls (method TEXT, from_tag TEXT, to_tag TEXT, callid TEXT, code TEXT, sip_reason TEXT,
    time INTEGER, setuptime INTEGER, created INTEGER);
"""


def stored(path: Path, what: str, table: str = "acc") -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(f"SELECT {what} FROM {table}").fetchall()


def until(acc: Accounted, there: Callable[[], bool]) -> None:
    """Wait for the database, which works in a thread."""
    for _ in range(1000):
        if there():
            return
        acc.call.script.wait(asyncio.sleep(0.005))
    raise AssertionError("the database has not answered within 5 seconds")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "acc.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(TABLES)
    return path


def with_database(path: Path, more: str = "") -> str:
    return f'loadmodule "db_sqlite.so"\nmodparam("acc", "db_url", "sqlite://{path}")\n{more}'


def test_records_become_rows_one_for_each_leg(caplog: pytest.LogCaptureFixture, database: Path) -> None:
    fields = 'modparam("acc", "extra_fields", "db: a->col_a")\nmodparam("acc", "leg_fields", "db: l->col_l")'
    initial = 'do_accounting("db", "cdr"); $acc_extra(a) = "A"; $acc_leg(l) = 1; acc_new_leg(); $acc_leg(l) = "two";'
    acc = Accounted(caplog, with_database(database, fields), initial=initial)
    acc.talk(2)
    acc.call.script.close()
    assert stored(database, "method, sip_code, duration, ms_duration, setuptime, col_a, col_l") == [
        ("INVITE", "200", 2, 2000, 0, "A", "1"),
        ("INVITE", "200", 2, 2000, 0, "A", "two"),
    ]


def test_missed_calls_have_a_table_of_their_own_and_columns_can_be_named(
    caplog: pytest.LogCaptureFixture, database: Path
) -> None:
    column = 'modparam("acc", "acc_sip_code_column", "code")'
    acc = Accounted(caplog, with_database(database, column), initial='do_accounting("db", "missed");')
    acc.fail()
    acc.call.script.close()
    assert stored(database, "callid, code", "missed_calls") == [("call-1", "486")]


def test_the_script_can_name_another_table(caplog: pytest.LogCaptureFixture, database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.executescript("CREATE TABLE mine AS SELECT * FROM acc")
    acc = Accounted(caplog, with_database(database), initial='do_accounting("db", , "mine");')
    acc.talk()
    acc.call.script.close()
    assert (len(stored(database, "*")), len(stored(database, "*", "mine"))) == (0, 1)


def test_a_request_is_written_to_the_database_at_once(caplog: pytest.LogCaptureFixture, database: Path) -> None:
    acc = Accounted(
        caplog,
        with_database(database),
        initial='acc_db_request("404 Gone", "acc"); xlog("$rc\\n"); '
        'acc_db_request("404", "none"); xlog("$rc\\n"); exit;',
    )
    acc.call.request("INVITE")
    until(acc, lambda: len(acc.call.script.output.split()) == 2)
    assert acc.printed == ["1", "-1"]
    assert stored(database, "sip_code, sip_reason") == [("404", "Gone")]


def test_a_database_that_refuses_is_told_of_and_calls_go_on(caplog: pytest.LogCaptureFixture, database: Path) -> None:
    acc = Accounted(caplog, with_database(database), initial='do_accounting("db", , "nowhere");')
    acc.talk()
    acc.call.script.close()
    assert "a record cannot be written to 'nowhere'" in caplog.text


# -- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"initial": 'do_accounting("db");'}, "'db' needs db_url"),
        ({"initial": 'do_accounting("aaa");'}, "'aaa' is not available yet"),
        ({"initial": 'do_accounting("log,evi");'}, "unknown word 'log,evi'"),
        ({"initial": 'do_accounting("log", "cdrs");'}, "unknown word 'cdrs'"),
        ({"initial": 'drop_accounting("none");'}, "unknown word 'none'"),
        ({"initial": "$acc_extra(q) = 1;"}, "there is no tag 'q' in extra_fields"),
        ({"initial": "$acc_leg(q) = 1;"}, "there is no tag 'q' in leg_fields"),
        ({"parameters": 'modparam("acc", "extra_fields", "a->b")'}, "does not begin with one of"),
        ({"parameters": 'modparam("acc", "leg_fields", "log: a->")'}, "'a->' is no field"),
        ({"parameters": 'modparam("acc", "log_facility", "LOG_X")'}, "expected one of LOG_"),
        ({"parameters": 'modparam("acc", "aaa_url", "radius:x")'}, "not available yet"),
        ({"parameters": 'modparam("acc", "db_url", "sqlite:///x")'}, "sqlite"),
    ],
)
def test_mistakes_are_told_at_the_start(caplog: pytest.LogCaptureFixture, parts: dict[str, str], says: str) -> None:
    with pytest.raises(ScriptError, match=says):
        Accounted(caplog, **parts)


def test_a_wrong_type_in_a_variable_is_told_when_it_is_used(caplog: pytest.LogCaptureFixture) -> None:
    acc = Accounted(caplog, initial='$var(t) = "nothing"; do_accounting($var(t)); xlog("$rc\\n"); exit;')
    acc.call.request("INVITE")
    assert acc.printed == ["-1"] and "unknown word 'nothing'" in caplog.text
