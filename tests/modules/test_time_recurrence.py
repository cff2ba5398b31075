"""Time recurrences: expected answers of OpenSIPS 4.1, and of RFC 2445 where the server departs from it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.time_recurrence import MAX_DEPTH, MAX_TEXT, TimeRecurrenceError, parse_time_recurrence

DAY = "20200101T080000|20200101T180000||"
NIGHT = "20200101T220000|20200102T060000||"


def at(text: str, zone: str = "UTC") -> float:
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=ZoneInfo(zone)).timestamp()


def matches(recurrence: str, moment: str) -> bool:
    """In UTC, whatever zone the machine that tests is in."""
    return parse_time_recurrence(f"UTC|{recurrence}").matches(at(moment))


@pytest.mark.parametrize(
    ("recurrence", "inside", "outside"),
    [
        ("20200101T000000|20200102T000000", "20200101T235959", "20200102T000000"),
        ("20200101T000000", "20990101T000000", "20191231T235959"),
        ("20200101T080000||p1d", "20200102T075959", "20200102T080000"),
        ("20200101T080000||P1DT1H1M1S", "20200102T090100", "20200102T090101"),
        ("20200101T080000||p1w", "20200108T075959", "20200108T080000"),
        ("20200101T080000|20200101T120000|pt1h", "20200101T085959", "20200101T100000"),
        (DAY + "daily", "20200102T175959", "20200102T180000"),
        (DAY + "DAILY", "20200102T080000", "20191231T090000"),
        (DAY + "daily|20200105T120000", "20200105T120000", "20200105T120001"),
        (DAY + "daily||2", "20200103T090000", "20200102T090000"),
        (DAY + "daily|||||||2,12", "20200201T090000", "20200301T090000"),
        (DAY + "weekly", "20200108T090000", "20200107T090000"),
        (DAY + "weekly|||mo,tu", "20200107T090000", "20200108T090000"),
        (DAY + "weekly||2", "20200115T090000", "20200108T090000"),
        ("20200105T080000||pt8h|weekly||2|MO,SU", "20200113T090000", "20200106T090000"),
        (DAY + "monthly", "20200201T090000", "20200202T090000"),
        (DAY + "monthly||2", "20200301T090000", "20200201T090000"),
        (DAY + "monthly|||1MO", "20200203T090000", "20200210T090000"),
        (DAY + "monthly|||-1MO", "20200224T090000", "20200217T090000"),
        (DAY + "monthly||||5,-1", "20200229T090000", "20200228T090000"),
        (DAY + "yearly", "20210101T090000", "20210102T090000"),
        (DAY + "yearly||2", "20220101T090000", "20210101T090000"),
        (DAY + "yearly|||8MO", "20200224T090000", "20200217T090000"),
        (DAY + "yearly||||||9", "20200226T090000", "20200304T090000"),
        (DAY + "yearly|||||||2,12", "20200201T090000", "20200202T090000"),
        (NIGHT + "daily", "20200103T050000", "20200103T070000"),
        ("20200101T080000|20200102T160000||weekly", "20200109T150000", "20200109T170000"),
        ("20200101T080000|20200103T160000||monthly", "20200202T170000", "20200203T170000"),
    ],
)
def test_recurrences_match_as_the_server_answers(recurrence: str, inside: str, outside: str) -> None:
    assert matches(recurrence, inside)
    assert not matches(recurrence, outside)


@pytest.mark.parametrize(
    ("recurrence", "inside", "outside"),
    [
        (DAY + "monthly|||MO", "20200217T090000", "20200218T090000"),
        (DAY + "yearly|||MO||||2", "20200210T090000", "20200302T090000"),
        (DAY + "yearly|||2MO||||2", "20200210T090000", "20200203T090000"),
        (DAY + "daily||||31", "20200131T090000", "20200201T090000"),
        (DAY + "daily||||29", "20200229T090000", "20210201T090000"),
        (DAY + "yearly|||||-1", "20211231T090000", "20210101T090000"),
        (DAY + "yearly|||||366", "20201231T090000", "20210101T090000"),
        (DAY + "yearly||||||-1", "20201230T090000", "20200101T090000"),
    ],
)
def test_lists_mean_what_rfc_2445_says_where_the_server_counts_wrongly(
    recurrence: str, inside: str, outside: str
) -> None:
    assert matches(recurrence, inside)
    assert not matches(recurrence, outside)


def test_times_are_local_to_the_zone_in_summer_and_winter() -> None:
    office = parse_time_recurrence("Europe/Paris|20200101T080000|20200101T160000||daily")
    assert office.matches(at("20200601T060000"))
    assert not office.matches(at("20200601T055959"))
    assert office.matches(at("20201201T070000"))
    assert not office.matches(at("20201201T060000"))


def test_a_duration_is_real_time_across_a_change_of_clocks() -> None:
    window = parse_time_recurrence("Europe/Paris|20200328T080000||p1d")
    assert window.matches(at("20200329T065959"))
    assert not window.matches(at("20200329T070000"))


EARLY, LATE = "UTC|20200101T080000|20200101T090000", "UTC|20200101T083000|20200101T093000"


@pytest.mark.parametrize(
    ("expression", "answers"),
    [
        (f"{EARLY}&{LATE}", [False, True, False]),
        (f"{EARLY} / {LATE}", [True, True, True]),
        (f"{EARLY} & !{LATE}", [True, False, False]),
        (f"!!{EARLY}", [True, True, False]),
        (f"!({EARLY} / {LATE})", [False, False, False]),
        (f"(({EARLY})) & (!{LATE} / {EARLY})", [True, True, False]),
    ],
)
def test_recurrences_are_joined(expression: str, answers: list[bool]) -> None:
    condition = parse_time_recurrence(expression)
    moments = ("20200101T081500", "20200101T084500", "20200101T091500")
    assert [condition.matches(at(moment)) for moment in moments] == answers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bad string", "dtstart is 'bad'"),
        ("20200101", "expected a time like"),
        ("20201301T080000", "month must be in"),
        ("20200101T080000||1d", "expected one like P1D"),
        ("20200101T080000||p", "expected one like P1D"),
        ("20200101T080000|||hourly", "expected daily, weekly"),
        ("20200101T080000|||daily||0", "above 0"),
        ("20200101T080000|||daily|||XX", "'XX'"),
        ("20200101T080000|||monthly|||0MO", "'0MO'"),
        ("20200101T080000|||daily||||32", "'32'"),
        ("20200101T080000|||daily|||||||-1", "up to 12"),
        ("20200101T080000||||20210101T000000", "no freq"),
        ("Nowhere/City|20200101T080000", "no time zone"),
        ("20200101T080000 & 20200101T080000 / 20200101T080000", "use brackets"),
        ("(20200101T080000", "not closed"),
        ("20200101T080000)", "found ')'"),
        ("20200101T080000&", "nothing at"),
        ("", "nothing at"),
        ("(" * (MAX_DEPTH + 1) + "20200101T080000", "brackets inside each other"),
        ("x" * (MAX_TEXT + 1), "characters"),
    ],
)
def test_what_is_no_recurrence_is_refused_with_what_was_expected(text: str, said: str) -> None:
    with pytest.raises(TimeRecurrenceError, match=said.replace("(", r"\(").replace(")", r"\)")):
        parse_time_recurrence(text)


def test_moments_beyond_the_calendar_match_nothing() -> None:
    assert not parse_time_recurrence("UTC|20200101T080000|||daily").matches(1e18)


@given(st.text(alphabet="0123456789T|&/!() daily,MOp-+", max_size=80), st.integers(-(2**40), 2**40))
def test_any_text_is_read_or_refused(text: str, time: int) -> None:
    try:
        condition = parse_time_recurrence(text)
    except TimeRecurrenceError:
        return
    assert condition.matches(time) in (True, False)


@given(
    st.integers(946684800, 2114380800).map(lambda time: datetime.fromtimestamp(time, UTC)),
    st.sampled_from(["daily", "weekly", "monthly", "yearly"]),
    st.integers(1, 5),
)
def test_a_recurrence_holds_its_own_beginning(start: datetime, freq: str, interval: int) -> None:
    text = f"UTC|{start:%Y%m%dT%H%M%S}||pt1h|{freq}||{interval}"
    assert parse_time_recurrence(text).matches(start.timestamp())
