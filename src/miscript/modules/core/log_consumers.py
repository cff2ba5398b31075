"""Where the host's log goes: the consumers that `log_level_filter` and `log_mute_state` name.

A consumer stands for the handlers of Python's logging that write to the same place: standard error, syslog, and the
event `E_CORE_LOG`.  Its two settings are numbers that OpenSIPS hands out unchanged; what counts is whether they are 0.

Source: OpenSIPS manual, "Core Parameters" (`stderror_enabled`, `stderror_level_filter`, `syslog_enabled` …).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ...log_levels import python_level


@dataclass
class LogConsumer(logging.Filter):
    """One consumer; as a filter of its handlers it decides what they let through.

    `level_filter`: the highest level that passes, any when 0.  `mute_state`: 0 when the consumer is on.
    """

    name: str
    level_filter: int
    mute_state: int

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the consumer takes `record`."""
        if self.mute_state:
            return False
        return not self.level_filter or record.levelno >= python_level(self.level_filter)


def _to_standard_error(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and handler.stream in (sys.stderr, sys.__stderr__)


def _to_syslog(handler: logging.Handler) -> bool:
    from logging.handlers import SysLogHandler

    return isinstance(handler, SysLogHandler)


def _to_nobody(handler: logging.Handler) -> bool:
    return False


_CONSUMERS: Final[dict[str, tuple[str, str, int, Callable[[logging.Handler], bool]]]] = {
    "stderror": ("stderror_enabled", "stderror_level_filter", 1, _to_standard_error),
    "syslog": ("syslog_enabled", "syslog_level_filter", 0, _to_syslog),
    "event": ("log_event_enabled", "log_event_level_filter", 0, _to_nobody),
}
"""Name → parameters of the script that switch it on and filter it, whether it is on without, and its handlers."""


def log_consumers(parameters: Mapping[str, int | str]) -> dict[str, LogConsumer]:
    """The consumers as the script's global parameters set them, put in front of the handlers that there are now."""
    consumers = {}
    for name, (enabled, level_filter, default, belongs) in _CONSUMERS.items():
        consumer = LogConsumer(
            name, _number(parameters, level_filter, 0), int(not _number(parameters, enabled, default))
        )
        consumers[name] = consumer
        if not consumer.mute_state:  # what the script switched off, the host has not opened
            for handler in _handlers():
                if belongs(handler):
                    handler.addFilter(consumer)
    return consumers


def _handlers() -> Iterator[logging.Handler]:
    for name in ("miscript", None):
        yield from logging.getLogger(name).handlers


def _number(parameters: Mapping[str, int | str], name: str, default: int) -> int:
    value = parameters.get(name, default)
    return value if isinstance(value, int) else default
