"""`prometheus`: the statistics of the host for Prometheus, answered through `httpd`.

`GET /ROOT` gives the statistics that the parameter `statistics` names, what `script_route` adds, and always the
calls of MI commands by outcome with the time they took.  A statistic that counts up is a counter, one that shows a
state a gauge.  Source: OpenSIPS manual, module prometheus; docs/doors.md.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Coroutine, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import orjson

from ...errors import ConfigurationError
from ...exports import Module, parameter, script_function
from ...http.response import JSON
from ...http_server import HttpRequest, HttpServer, Reply
from ...script.runtime import Run
from ...services import Counter
from .labels import parse_rule
from .page import CONTENT_TYPE, Page, label_text, metric_name

log = logging.getLogger("miscript.prometheus")

ROOT: Final = re.compile(r"[A-Za-z0-9_]+")
NO_GROUP, GROUP_IN_NAME, GROUP_AS_LABEL = 0, 1, 2
KINDS: Final = ("counter", "gauge")


@dataclass(slots=True)
class _Declaring:
    """The page that `script_route` writes to, and the statistic it declared last."""

    page: Page
    name: str = ""


_declaring: ContextVar[_Declaring | None] = ContextVar("prometheus page", default=None)


class Prometheus(Module):
    """Answer Prometheus with the statistics of the host."""

    name = "prometheus"
    needs = ("httpd",)

    root = parameter("metrics", "Name behind the first slash of the path: letters, digits, `_`.")
    prefix = parameter("opensips", "Put in front of every name.")
    delimiter = parameter("_", "Stands between prefix, group and name.")
    group_prefix = parameter("", "Put in front of every group.")
    group_label = parameter("group", "Name of the label that has the group, with `group_mode` 2.")
    group_mode = parameter(0, "Where the group is told: 0 nowhere, 1 in the name, 2 in a label.")
    wanted: list[str] = parameter(
        [], "Names, or `GROUP:` for a whole group, or `all`.", kinds="string", repeatable=True, name="statistics"
    )
    labels: list[str] = parameter(
        [], "`GROUP: /expression/replacement/flags` that makes labels of names.", kinds="string", repeatable=True
    )
    script_route = parameter("", "Route that adds metrics of the script.")

    def init(self) -> None:
        if not ROOT.fullmatch(self.root.strip()):
            raise ConfigurationError(f"'root' is '{self.root}', expected letters, digits and '_'", parameter="root")
        if self.group_mode not in (NO_GROUP, GROUP_IN_NAME, GROUP_AS_LABEL):
            raise ConfigurationError(f"'group_mode' is {self.group_mode}, expected 0, 1 or 2", parameter="group_mode")
        server: HttpServer | None = self.services.find("httpd")
        if server is None:
            raise ConfigurationError("module 'httpd' is not loaded", help='add  loadmodule "httpd.so"')
        self._wanted = [word for text in self.wanted for word in text.split()]
        self._rules = [parse_rule(text) for text in self.labels]
        server.register(self.root.strip(), self.handle, self.name)

    async def start(self) -> None:
        if self.script_route and ("route", self.script_route) not in self.services.routes.script.routes:
            raise ConfigurationError(f"there is no route '{self.script_route}'", parameter="script_route")
        for word in self._wanted:
            if word != "all" and not self._counted(word):
                log.warning(
                    "'statistics': nothing is counted as '%s' yet, so the page leaves it out; `get_statistics "
                    "all` lists what is there",
                    word,
                )

    # -- requests ---------------------------------------------------------------------------------------------

    def handle(self, request: HttpRequest) -> Reply | Coroutine[Any, Any, Reply]:
        """Answer one HTTP request."""
        if request.head.method != "GET":
            return Reply(405, JSON, b"")
        page = Page()
        self._add_statistics(page)
        self._add_calls(page)
        return self._with_route(page) if self.script_route else Reply(200, CONTENT_TYPE, page.render())

    def _add_statistics(self, page: Page) -> None:
        for counter in self._counters():
            name, labels = self._named(counter)
            page.declare(name, "counter" if counter.resettable else "gauge")
            page.sample(name, counter.value, labels)

    def _counters(self) -> Iterable[Counter]:
        """The statistics that are wanted, each once; unknown names are left out."""
        table = self.services.statistics
        if "all" in self._wanted:
            return table.all()
        found: dict[int, Counter] = {}
        for word in self._wanted:
            for counter in self._counted(word):
                found.setdefault(id(counter), counter)
        return found.values()

    def _counted(self, word: str) -> Iterable[Counter]:
        """The statistics that one word of `statistics` names: a whole group (`GROUP:`), or one."""
        table = self.services.statistics
        if word.endswith(":"):
            return table.group(word[:-1])
        single = table.find(word)
        return () if single is None else (single,)

    def _named(self, counter: Counter) -> tuple[str, str]:
        """The name of a statistic for Prometheus, and its labels."""
        name, labels = counter.name, ""
        for rule in self._rules:
            if rule.group == counter.group and (made := rule.apply(counter.name)) is not None:
                name, labels = made
                break
        group = self._joined(self.group_prefix, counter.group)
        if self.group_mode == GROUP_AS_LABEL:
            labels = ",".join(text for text in (label_text({self.group_label: group}), labels) if text)
        parts = (self.prefix, group, name) if self.group_mode == GROUP_IN_NAME else (self.prefix, name)
        return metric_name(self._joined(*parts)), labels

    def _joined(self, *parts: str) -> str:
        return self.delimiter.join(part for part in parts if part)

    def _add_calls(self, page: Page) -> None:
        """What became of MI commands; of our own making, no statistic has it."""
        calls, seconds, refused = (
            metric_name(self._joined(self.prefix, name))
            for name in ("mi_calls_total", "mi_call_seconds", "mi_refused_total")
        )
        page.declare(calls, "counter", "MI commands that have ended, by command and outcome.")
        page.declare(seconds, "summary", "Time that MI commands took.")
        page.declare(refused, "counter", "MI requests that came to no command, by error code.")
        for command in self.services.mi.commands:
            counters = command.counters
            outcomes = {"ok": counters.succeeded, **{str(code): n for code, n in counters.failed.items()}}
            for outcome, number in (outcomes | {"cancelled": counters.cancelled}).items():
                if number:
                    page.sample(calls, number, label_text({"command": command.full, "outcome": outcome}))
            if counters.timed:
                labels = label_text({"command": command.full})
                page.sample(seconds, counters.seconds, labels, "_sum")
                page.sample(seconds, counters.timed, labels, "_count")
        for code, number in self.services.mi.refused.items():
            page.sample(refused, number, label_text({"code": str(code)}))

    # -- metrics of the script --------------------------------------------------------------------------------

    async def _with_route(self, page: Page) -> Reply:
        declaring = _declaring.set(_Declaring(page))
        try:
            run = await self.services.routes.run_route("route", self.script_route)
            for value in run.returned:
                if isinstance(value, str) and value:
                    _add_json(page, value)
        except LookupError as error:
            log.error("'script_route': %s", error)
        finally:
            _declaring.reset(declaring)
        return Reply(200, CONTENT_TYPE, page.render())

    @script_function(routes="request")
    def prometheus_declare_stat(self, run: Run, name: str, type: str = "gauge", help: str = "") -> int:
        """Begin a statistic in the route of `script_route`; `type` is `counter` or `gauge`."""
        declaring = _declaring.get()
        if declaring is None:
            log.error("prometheus_declare_stat() is for the route that 'script_route' names")
            return -1
        if type not in KINDS:
            log.error("prometheus_declare_stat(): '%s' is no type, expected counter or gauge", type)
            return -1
        declaring.name = metric_name(name)
        declaring.page.declare(declaring.name, type, help)
        return 1

    @script_function(routes="request")
    def prometheus_push_stat(
        self, run: Run, value: int, label_name: str | None = None, label_value: str | None = None
    ) -> int:
        """Give the statistic that was declared last a value.

        With both texts they are one label; `label_name` alone is all labels with their braces.
        """
        declaring = _declaring.get()
        if declaring is None or not declaring.name:
            log.error("prometheus_push_stat() comes behind prometheus_declare_stat()")
            return -1
        if label_value is not None:
            labels = label_text({label_name or "": label_value})
        else:
            labels = (label_name or "").strip().removeprefix("{").removesuffix("}")
        if "\n" in labels:
            log.error("prometheus_push_stat(): labels have no line break")
            return -1
        declaring.page.sample(declaring.name, value, labels)
        return 1


def _add_json(page: Page, text: str) -> None:
    """Add what a route returned: `[{"header": "# TYPE x gauge", "values": [{"name": "x", "value": 3}]}]`."""
    try:
        families = orjson.loads(text)
        for family in families:
            lines = [str(family["header"])] if family.get("header") else []
            lines += [f"{entry['name']} {_value(entry['value'])}" for entry in family["values"]]
            for line in lines:
                page.verbatim(line.strip())
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError, ValueError) as error:
        log.error("'script_route' returned something that is no list of metrics: %r", error)


def _value(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is no number")
    float(value)
    return str(value).strip()
