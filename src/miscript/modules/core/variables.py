"""The core's variables of the script itself: `$var`, `$avp`, `$param`, `$rc`, `$route`, `$err`, time, log levels.

The compiler writes the first few inline where it can; these definitions are what they mean everywhere else.
Source: OpenSIPS manual, "Core Variables".
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from ...exports import variable
from ...script.access import AvpAccess, SimpleAccess, VarAccess, name_of
from ...script.nodes import Template, Variable
from ...script.runtime import RouteInfo, Run, parameter_at
from ...script.signatures import Binder, VariableAccess
from ...values import Value
from .part import CorePart


class ScriptVariables(CorePart):
    """Variables that every script has, with or without a message."""

    @variable("var", inner="required", binds=True)
    def var(self, inner: Any, index: Any, binder: Any) -> VariableAccess:
        """A variable of the worker: it keeps its value from one run to the next."""
        name = inner.constant
        if name is None:
            raise ValueError("the name of a $var is written out; for names made at run time use $avp")
        return VarAccess(binder.slot(name))

    @variable("avp", inner="required", index=True, binds=True)
    def avp(self, inner: Any, index: Any, binder: Binder) -> VariableAccess:
        """A list of values that belongs to the run (to the message or transaction); the newest value comes first."""
        name = inner.constant
        found = binder.index(index) if isinstance(index, Variable) else index
        return AvpAccess(name if name is not None else name_of(binder.template_pieces(inner)), found)

    @variable("rc")
    def rc(self, run: Run) -> Value:
        """The result of the last statement."""
        return run.rc

    @variable("retcode")
    def retcode(self, run: Run) -> Value:
        """The other name of $rc."""
        return run.rc

    @variable("param", inner="required", index=True, binds=True)
    def param(self, inner: Any, index: Any, binder: Binder) -> VariableAccess:
        """A parameter of the route, counted from 1, or an attribute of the event by its name."""
        key = _number_or_name(inner, binder)
        return SimpleAccess(lambda run: parameter_at(run.parameters, key(run)))

    @variable("return", inner="required", index=True, binds=True)
    def returned(self, inner: Any, index: Any, binder: Binder) -> VariableAccess:
        """An extra value of the last finished route call, counted from 0."""
        if inner.constant is not None and not re.fullmatch(r"\s*[0-9]+\s*", inner.constant):
            raise ValueError(f"the values are counted from 0; '{inner.constant}' is none of them")
        key = _number_or_name(inner, binder)

        def read(run: Run) -> Value:
            number = key(run)
            if not isinstance(number, int) or not 0 <= number < len(run.returned):
                return None
            return run.returned[number]

        return SimpleAccess(read)

    @variable("route", index=True, binds=True)
    def route(self, inner: Any, index: Any, binder: Binder) -> VariableAccess:
        """The route that is running, or with an index its callers; `[*]` shows all of them."""
        return _route_variable(str, index, binder)

    @variable("route.name", index=True, binds=True)
    def route_name(self, inner: Any, index: Any, binder: Binder) -> VariableAccess:
        """The name of the route, empty for unnamed ones."""
        return _route_variable(lambda info: info.name, index, binder)

    @variable("route.type", index=True, binds=True)
    def route_type(self, inner: Any, index: Any, binder: Binder) -> VariableAccess:
        """The kind of the route: `route`, `startup_route` …"""
        return _route_variable(lambda info: info.kind, index, binder)

    # -- errors ------------------------------------------------------------

    @variable("err.class")
    def err_class(self, run: Run) -> Value:
        """The class of the error that the error route handles."""
        return run.error.error_class

    @variable("err.level")
    def err_level(self, run: Run) -> Value:
        """How severe the error is."""
        return run.error.level

    @variable("err.info")
    def err_info(self, run: Run) -> Value:
        """The error in words."""
        return run.error.info

    @variable("err.rcode")
    def err_rcode(self, run: Run) -> Value:
        """The SIP status that the error suggests."""
        return run.error.rcode

    @variable("err.rreason")
    def err_rreason(self, run: Run) -> Value:
        """The SIP reason phrase that the error suggests."""
        return run.error.rreason

    # -- the place in the file, the process, the time ------------------------------------------------------------

    @variable("cfg_line", binds=True)
    def cfg_line(self, inner: Any, index: Any, binder: Binder) -> VariableAccess:
        """The line of the script; only the compiler knows it, so inside `{s.eval}` it is NULL."""
        return SimpleAccess(lambda run: None)

    @variable("cfg_file", binds=True)
    def cfg_file(self, inner: Any, index: Any, binder: Binder) -> VariableAccess:
        """The file of the script."""
        return SimpleAccess(lambda run: run.script.name)

    @variable("pp")
    def pid(self, run: Run) -> Value:
        """The process id of the host."""
        return os.getpid()

    @variable("Ts")
    def seconds(self, run: Run) -> Value:
        """Seconds since the epoch."""
        return int(self.services.clock.time())

    @variable("Tsm")
    def microseconds(self, run: Run) -> Value:
        """The microseconds of the current second."""
        return int(self.services.clock.time() * 1_000_000) % 1_000_000

    @variable("Tf")
    def date(self, run: Run) -> Value:
        """The local time as `Tue Nov 24 23:31:59 2026`."""
        return time.ctime(self.services.clock.time())

    @variable("time", inner="required")
    def formatted_time(self, run: Run, inner: str) -> Value:
        """The local time in a format of strftime: `$time(%H:%M)`."""
        return time.strftime(inner, time.localtime(self.services.clock.time()))

    @variable("C", inner="required", binds=True)
    def colour(self, inner: Template, index: None, binder: Binder) -> VariableAccess:
        """The code that gives text a colour: `$C(rx)` is red on the terminal's own background.

        Empty when the output is no terminal, unless the script says `xlog_force_color=yes`.
        """
        code = _colour(inner.constant or "")
        if code is None:
            raise ValueError(f"a colour is two letters of {''.join(_COLOURS)}x, as in $C(rx)")
        parameters = self.services.parameters
        return SimpleAccess(lambda run: code if parameters.get("xlog_force_color", 0) or sys.stdout.isatty() else "")

    # -- log levels ------------------------------------------------------------

    @variable("xlog_level")
    def xlog_level(self, run: Run) -> Value:
        """The level up to which xlog prints; NULL restores the configured one.  It belongs to the worker."""
        own = run.space.xlog_level
        return self.services.levels.xlog if own is None else own

    @xlog_level.setter
    def set_xlog_level(self, run: Run, value: Value) -> bool:
        if value is not None and not isinstance(value, int):
            return False
        run.space.xlog_level = value
        return True

    @variable("log_level")
    def log_level(self, run: Run) -> Value:
        """The level of the host's log; NULL restores the configured one.  It belongs to the worker."""
        own = run.space.log_level
        return self.services.levels.log if own is None else own

    @log_level.setter
    def set_log_level(self, run: Run, value: Value) -> bool:
        if value is not None and not isinstance(value, int):
            return False
        run.space.log_level = value
        return True


def _number_or_name(inner: Any, binder: Binder) -> Callable[[Run], Value]:
    """What stands in brackets: digits are a number, a variable keeps its kind, the rest is a name."""
    text = inner.constant
    if text is not None:
        key: Value = int(text) if text.isdecimal() else text
        return lambda run: key
    pieces = binder.template_pieces(inner)
    if len(pieces) == 1 and not isinstance(pieces[0], str):
        return pieces[0]
    return name_of(pieces)


def _route_variable(show: Callable[[RouteInfo], str], index: Any, binder: Binder) -> VariableAccess:
    if index == "*" and show is not str:  # only `$(route[*])` shows all
        return SimpleAccess(lambda run: None)
    if index == "*":
        return SimpleAccess(lambda run: " > ".join(str(info) for info, _ in run.frames))
    position = binder.index(0 if index is None or index == "append" else index)

    def read(run: Run) -> Value:
        number = position(run)
        frames = run.frames
        if not isinstance(number, int):
            return None
        place = len(frames) - 1 - number if number >= 0 else -1 - number
        return show(frames[place][0]) if 0 <= place < len(frames) else None

    def walk(run: Run) -> Sequence[Value]:
        return [show(info) for info, _ in reversed(run.frames)]

    return SimpleAccess(read, walk=walk)


_COLOURS = {"x": 39, "s": 30, "r": 31, "g": 32, "y": 33, "b": 34, "p": 35, "c": 36, "w": 37}


def _colour(pair: str) -> str | None:
    """`xy`: the colours of the text, a capital for the bright one, and of the background; x is the terminal's own."""
    if len(pair) != 2 or pair[0] == "X" or pair[0].lower() not in _COLOURS or pair[1] not in _COLOURS:
        return None
    return f"\x1b[{int(pair[0].isupper())};{_COLOURS[pair[0].lower()]};{_COLOURS[pair[1]] + 10}m"
