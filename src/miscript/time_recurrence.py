"""Time recurrences as OpenSIPS writes them: `zone|dtstart|dtend|duration|freq|until|interval|byday|…`.

`parse_time_recurrence` takes one recurrence or several joined with `&`, `/` (or) and `!`, and gives an object whose
`matches(time)` says whether a moment lies in them; everything else raises `TimeRecurrenceError`.

A recurrence repeats the window from dtstart to dtend in every day, week, month or year.  A moment lies in it when
its own day passes the interval and the BY lists, and its time of day (or place in the week, month, year) lies in the
window, which may run over the end of the day.  What the BY lists mean is RFC 2445's: negative numbers count from the
end, a weekday without a number is every such weekday, weeks are those of ISO 8601.

Source: OpenSIPS manual, module cfgutils, `check_time_rec`; RFC 2445 sections 4.3.6 and 4.3.10.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from .late_pattern import late_pattern

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MAX_TEXT = 4096
"""Characters of one expression."""

MAX_DEPTH = 32
"""Brackets inside brackets."""

DAY, WEEK = 86400, 7 * 86400
WEEKDAYS = {name: number for number, name in enumerate(("MO", "TU", "WE", "TH", "FR", "SA", "SU"))}
UNITS = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year"}
LENGTHS = {"day": DAY, "week": WEEK, "month": 31 * DAY, "year": 365 * DAY}
"""A window at least this long covers the whole unit."""

_DATE = late_pattern(r"(\d{4})(\d\d)(\d\d)[Tt](\d\d)(\d\d)(\d\d)", re.ASCII)
_DURATION = late_pattern(
    r"P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?", re.ASCII | re.IGNORECASE
)
_WEEKDAY = late_pattern(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII | re.IGNORECASE)
_NUMBER = late_pattern(r"[+-]?\d{1,3}", re.ASCII)
_OPERAND = late_pattern(r"(?:[A-Za-z][A-Za-z0-9_+/-]*(?=\|))?[^&/!()\s]*")
_FIELDS = (
    "dtstart",
    "dtend",
    "duration",
    "freq",
    "until",
    "interval",
    "byday",
    "bymday",
    "byyday",
    "byweekno",
    "bymonth",
)


class TimeRecurrenceError(ValueError):
    """A text that is no time recurrence; says what was found and what was expected."""


class TimeCondition(Protocol):
    """A recurrence, or several joined."""

    def matches(self, time: float) -> bool:
        """Whether `time`, in seconds since the epoch, lies in it."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """One recurrence.  Times are local to `zone`, None being the system's; `end` and `until` may be missing.

    `unit` is what it repeats in ("" for a single window), `weekdays` holds (number or 0, weekday from Monday).
    """

    start: datetime
    end: datetime | None = None
    until: datetime | None = None
    zone: ZoneInfo | None = None
    unit: str = ""
    interval: int = 1
    weekdays: tuple[tuple[int, int], ...] = ()
    month_days: frozenset[int] = frozenset()
    year_days: frozenset[int] = frozenset()
    weeks: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()

    def matches(self, time: float) -> bool:
        try:
            return self._matches(time)
        except (OverflowError, ValueError, OSError):  # beyond the years that a date can have
            return False

    def _matches(self, time: float) -> bool:
        if time < instant(self.start, self.zone):
            return False
        if self.until is not None and time > instant(self.until, self.zone):
            return False
        if not self.unit:
            return self.end is None or time < instant(self.end, self.zone)
        moment = local_time(time, self.zone)
        return self._in_interval(moment.date()) and self._in_lists(moment.date()) and self._in_window(moment)

    def _in_interval(self, day: date) -> bool:
        first = self.start.date()
        match self.unit:
            case "day":
                passed = (day - first).days
            case "week":
                passed = (_monday(day) - _monday(first)).days // 7
            case "month":
                passed = (day.year - first.year) * 12 + day.month - first.month
            case _:
                passed = day.year - first.year
        return passed % self.interval == 0

    def _in_lists(self, day: date) -> bool:
        days_in_month = calendar.monthrange(day.year, day.month)[1]
        days_in_year = 366 if calendar.isleap(day.year) else 365
        return (
            (not self.months or day.month in self.months)
            and (not self.month_days or _counted(day.day, days_in_month, self.month_days))
            and (not self.year_days or _counted(_day_of_year(day), days_in_year, self.year_days))
            and (not self.weekdays or self._is_weekday(day, days_in_month, days_in_year))
            and (not self.weeks or self.unit != "year" or self._in_weeks(day))
        )

    def _is_weekday(self, day: date, days_in_month: int, days_in_year: int) -> bool:
        """A number counts within the month, or within the year when months are not given; else it means nothing."""
        wanted = {number for number, weekday in self.weekdays if weekday == day.weekday()}
        if not wanted or 0 in wanted or self.unit in ("day", "week"):
            return bool(wanted)
        if self.unit == "month" or self.months:
            place, length = day.day, days_in_month
        else:
            place, length = _day_of_year(day), days_in_year
        return bool(wanted & {(place - 1) // 7 + 1, -((length - place) // 7 + 1)})

    def _in_weeks(self, day: date) -> bool:
        year, week, _ = day.isocalendar()
        return _counted(week, date(year, 12, 28).isocalendar().week, self.weeks)

    def _in_window(self, moment: datetime) -> bool:
        if self.end is None:
            return True
        unit = self._window_unit()
        length = instant(self.end, self.zone) - instant(self.start, self.zone)
        if length <= 0 or length >= LENGTHS[unit]:
            return length > 0
        begin, finish, now = (_place(unit, at) for at in (self.start, self.end, moment))
        return begin <= now < finish if begin <= finish else now >= begin or now < finish

    def _window_unit(self) -> str:
        """What the window is compared in: lists of days leave only the time of day, a list of months the month."""
        if self.weekdays or self.month_days or self.year_days:
            return "day"
        if self.unit == "year":
            return "week" if self.weeks else "month" if self.months else "year"
        return self.unit


@dataclass(frozen=True, slots=True)
class Joined:
    """Several conditions of which all (`&`) or one (`/`) must hold."""

    conditions: tuple[TimeCondition, ...]
    every: bool

    def matches(self, time: float) -> bool:
        found = (condition.matches(time) for condition in self.conditions)
        return all(found) if self.every else any(found)


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    condition: TimeCondition

    def matches(self, time: float) -> bool:
        return not self.condition.matches(time)


# -- dates ----------------------------------------------------------------------------------------------------------


def instant(moment: datetime, zone: ZoneInfo | None) -> float:
    """Seconds since the epoch of a local time."""
    return moment.replace(tzinfo=zone).timestamp()


def local_time(time: float, zone: ZoneInfo | None) -> datetime:
    """The local time, without a zone, at `time` seconds since the epoch."""
    return datetime.fromtimestamp(time, zone).replace(tzinfo=None)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _day_of_year(day: date) -> int:
    return day.timetuple().tm_yday


def _counted(place: int, length: int, wanted: frozenset[int]) -> bool:
    """Whether a place counted from 1 is wanted, from the start or, negative, from the end."""
    return place in wanted or place - length - 1 in wanted


def _place(unit: str, moment: datetime) -> int:
    """Seconds since the begin of the unit."""
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    match unit:
        case "day":
            return seconds
        case "week":
            return moment.weekday() * DAY + seconds
        case "month":
            return (moment.day - 1) * DAY + seconds
        case _:
            return (_day_of_year(moment.date()) - 1) * DAY + seconds


# -- reading --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def parse_time_recurrence(text: str) -> TimeCondition:
    """Read a recurrence or an expression of several.

    Raises `TimeRecurrenceError`, also for a zone that this machine does not know.
    """
    if len(text) > MAX_TEXT:
        raise TimeRecurrenceError(f"a time recurrence of {len(text)} characters, at most {MAX_TEXT} are read")
    return _Reader(text).whole()


class _Reader:
    """The expression around recurrences: `condition = [!] ( recurrence | "(" expression ")" )`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def whole(self) -> TimeCondition:
        found = self.expression(0)
        if self.at < len(self.text):
            raise TimeRecurrenceError(f"found '{self.text[self.at]}' at {self.at + 1}, expected '&', '/' or the end")
        return found

    def expression(self, depth: int) -> TimeCondition:
        conditions = [self.condition(depth)]
        operator = self.look()
        while self.look() in ("&", "/"):
            if self.look() != operator:
                raise TimeRecurrenceError(f"'{self.look()}' at {self.at + 1} beside '{operator}': use brackets")
            self.at += 1
            conditions.append(self.condition(depth))
        return conditions[0] if len(conditions) == 1 else Joined(tuple(conditions), operator == "&")

    def condition(self, depth: int) -> TimeCondition:
        inverted = False
        while self.look() == "!":
            self.at += 1
            inverted = not inverted
        found = self.bracket(depth) if self.look() == "(" else self.recurrence()
        self.look()
        return Not(found) if inverted else found

    def bracket(self, depth: int) -> TimeCondition:
        if depth >= MAX_DEPTH:
            raise TimeRecurrenceError(f"more than {MAX_DEPTH} brackets inside each other")
        self.at += 1
        found = self.expression(depth + 1)
        if self.look() != ")":
            raise TimeRecurrenceError("a bracket is not closed")
        self.at += 1
        return found

    def recurrence(self) -> TimeCondition:
        operand = _OPERAND.match(self.text, self.at)
        if operand is None or not operand[0]:
            raise TimeRecurrenceError(f"nothing at {self.at + 1}, expected a time recurrence")
        self.at = operand.end()
        return parse_one(operand[0])

    def look(self) -> str:
        """The next character that is not blank, "" at the end."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]


def parse_one(text: str) -> Recurrence:
    """Read a single recurrence, without operators.  Raises `TimeRecurrenceError`."""
    fields = text.split("|")
    zone = _zone(fields.pop(0)) if not fields[0] or (fields[0][0].isalpha() and len(fields) > 1) else None
    field = dict(zip(_FIELDS, fields, strict=False))
    repeats = field.get("freq", "")
    if not repeats and any(field.get(name) for name in _FIELDS[4:]):
        raise TimeRecurrenceError(f"'{text}' has no freq, but fields behind it")
    if repeats and repeats.upper() not in UNITS:
        raise TimeRecurrenceError(f"freq is '{repeats}', expected daily, weekly, monthly or yearly")
    start = _date(field.get("dtstart", "") or "19700101T000000", "dtstart")
    return Recurrence(
        start,
        _end(start, field.get("dtend", ""), field.get("duration", ""), zone),
        _date(field["until"], "until") if field.get("until") else None,
        zone,
        UNITS.get(repeats.upper(), ""),
        _interval(field.get("interval", "")),
        _weekdays(field.get("byday", "")),
        _numbers(field.get("bymday", ""), "bymday", 31, signed=True),
        _numbers(field.get("byyday", ""), "byyday", 366, signed=True),
        _numbers(field.get("byweekno", ""), "byweekno", 53, signed=True),
        _numbers(field.get("bymonth", ""), "bymonth", 12),
    )


def _zone(name: str) -> ZoneInfo | None:
    if not name:
        return None
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise TimeRecurrenceError(f"'{name}' is no time zone that this machine knows") from error


def _date(text: str, name: str) -> datetime:
    found = _DATE.fullmatch(text)
    if found is None:
        raise TimeRecurrenceError(f"{name} is '{text}', expected a time like 20250131T235959")
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001  # local, the zone stands beside it
    except ValueError as error:
        raise TimeRecurrenceError(f"{name} is '{text}': {error}") from error


def _end(start: datetime, end: str, duration: str, zone: ZoneInfo | None) -> datetime | None:
    """The end of the window; a duration goes before dtend and is in real seconds, whatever clocks do meanwhile."""
    if not duration:
        return _date(end, "dtend") if end else None
    found = _DURATION.fullmatch(duration)
    if found is None or found.lastindex is None:
        raise TimeRecurrenceError(f"duration is '{duration}', expected one like P1DT12H or PT30M")
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in found.groups())
    length = weeks * WEEK + days * DAY + hours * 3600 + minutes * 60 + seconds
    try:
        return local_time(instant(start, zone) + length, zone)
    except (OverflowError, ValueError, OSError) as error:
        raise TimeRecurrenceError(f"duration is '{duration}', which goes beyond the year 9999") from error


def _interval(text: str) -> int:
    if not text:
        return 1
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and int(text)):
        raise TimeRecurrenceError(f"interval is '{text}', expected a number above 0")
    return int(text)


def _items(text: str) -> Sequence[str]:
    return text.split(",") if text else ()


def _weekdays(text: str) -> tuple[tuple[int, int], ...]:
    found = []
    for item in _items(text):
        weekday = _WEEKDAY.fullmatch(item)
        if weekday is None or (weekday[1] is not None and not 0 < abs(int(weekday[1])) <= 53):
            raise TimeRecurrenceError(f"byday holds '{item}', expected a weekday like MO or -1FR")
        found.append((int(weekday[1] or 0), WEEKDAYS[weekday[2].upper()]))
    return tuple(found)


def _numbers(text: str, name: str, most: int, *, signed: bool = False) -> frozenset[int]:
    found = set()
    for item in _items(text):
        number = int(item) if _NUMBER.fullmatch(item) else 0
        if not number or abs(number) > most or (number < 0 and not signed):
            sign = "-" if signed else ""
            raise TimeRecurrenceError(f"{name} holds '{item}', expected a number up to {sign}{most}")
        found.add(number)
    return frozenset(found)
