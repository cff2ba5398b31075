"""The commands of the core's own group."""

from __future__ import annotations

import logging
import re

import pytest

from core_parts import PID, CoreHost
from miscript.errors import ScriptError
from miscript.script.diagnostics import Diagnostics
from miscript.script.source import SourceFile, Span


@pytest.fixture
def host():
    level = logging.getLogger("miscript").level
    yield CoreHost()
    logging.getLogger("miscript").setLevel(level)


def test_which_shows_the_groups_in_the_order_of_the_server_then_ours_then_old_names(host):
    names = host.mi("which")
    groups = list(dict.fromkeys(name.partition(":")[0] for name in names if ":" in name and name != "mem:shm_check"))
    assert groups == ["statistics", "core", "tcp", "mem", "cache", "status_report", "evi", "blacklists"]
    assert names.index("mem:shm_check") > names.index("blacklists:del_rule")
    assert names.index("get_statistics") > names.index("mem:shm_check")


def test_which_shows_the_core_group_in_the_order_of_the_server(host):
    assert host.mi("which", ["core:"]) == [
        "core:pi_list",
        "core:pi_reload",
        "core:uptime",
        "core:version",
        "core:pwd",
        "core:arg",
        "core:which",
        "core:ps",
        "core:kill",
        "core:log_level",
        "core:xlog_level",
        "core:profiling_proc",
        "core:log_level_filter",
        "core:log_mute_state",
        "core:reload_routes",
        "core:help",
    ]


def test_help_tells_the_usage_or_what_a_command_does(host):
    assert host.mi("help") == "Usage: help mi_cmd - returns information about 'mi_cmd'"
    assert host.mi("help", ["which"]) == {"Help": "lists all available MI commands", "Exported by": "core"}
    assert host.mi("help", ["nosuch"]) == (404, "unknown MI command")


def test_every_command_of_the_core_has_a_help_of_one_line(host):
    for command in host.registry.commands:
        assert command.help and "\n" not in command.help and not command.help.endswith("."), command.full


def test_provisioning_is_not_there(host):
    assert host.mi("pi_list") == host.mi("pi_reload") == (503, "No PI transport is available")


def test_uptime_counts_whole_seconds(host):
    host.clock.now += 61.9
    answer = host.mi("uptime")
    assert list(answer) == ["Now", "Up since", "Up time"]
    assert answer["Up time"] == "61 [sec]"
    for text in (answer["Now"], answer["Up since"]):
        assert re.fullmatch(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}", text)


def test_version_names_the_host_and_with_any_parameter_the_revision(host):
    assert list(host.mi("version")) == ["Server"]
    assert list(host.mi("version", {"revision": None})) == ["Server", "git"]


def test_pwd_and_arg_tell_how_the_host_was_started(host):
    assert host.mi("pwd") == {"WD": "/somewhere"}
    assert host.mi("arg") == ["miscript", "run", "a b.cfg"]


def test_ps_lists_the_groups_of_workers(host):
    assert host.mi("ps") == {
        "Processes": [{"ID": 0, "PID": PID, "Type": "attendant"}, {"ID": 1, "PID": PID, "Type": "timer"}]
    }


def test_kill_answers_and_asks_the_host_to_stop(host):
    assert host.mi("kill", [1])[0] == -32602
    assert not host.stopped
    assert host.mi("core:kill") == "OK"
    assert host.stopped == [True]


def test_log_level_sets_the_level_of_the_log(host):
    assert host.mi("log_level", [4]) == {"New global log level": 4}
    assert logging.getLogger("miscript").level == logging.DEBUG
    assert host.mi("log_level", ["1"]) == {"New global log level": 1}
    assert logging.getLogger("miscript").level == logging.WARNING
    assert [process["Log level"] for process in host.mi("log_level")["Processes"]] == [1, 1]


def test_log_level_takes_the_pid_0_for_all_processes(host):
    assert host.mi("log_level", [3, 0]) == {"New global log level": 3}


def test_log_level_takes_the_one_pid_of_the_host(host):
    assert host.mi("log_level", [3, PID]) == {"Log level": 3}
    assert host.services.levels.log == 3
    assert host.mi("log_level", {"level": 2, "pid": 1}) == (-32602, "Invalid params", "Bad PID")
    assert host.services.levels.log == 3


def test_xlog_level_takes_any_integer(host):
    assert host.mi("xlog_level") == {"xLog Level": 2}
    assert host.mi("xlog_level", [9]) == {"New xLog level": 9}
    assert host.mi("xlog_level", {"level": -1}) == {"New xLog level": -1}
    assert host.mi("xlog_level") == {"xLog Level": -1}
    assert host.mi("xlog_level", ["four"]) == (-32602, "Invalid params", "Bad type for parameter 'level'")


def test_profiling_levels_are_kept_by_process(host):
    assert host.mi("profiling_proc", {"id": 1, "level": 2}) == "OK"
    levels = [process["Profiling level"] for process in host.mi("profiling_proc")["Processes"]]
    assert levels == [0, 2]
    assert host.mi("profiling_proc", {"id": 1}) == {
        "Processes": [{"ID": 1, "PID": PID, "Profiling level": 2, "Type": "timer"}]
    }
    assert host.mi("profiling_proc", {"id": None}) == host.mi("profiling_proc", {"level": "x"})
    assert host.mi("profiling_proc", {"pid": "x", "level": 3}) == "OK"
    assert host.mi("profiling_proc", {"id": 99}) == (-32602, "Invalid params", "Bad process ID")
    assert host.mi("profiling_proc", {"pid": 1}) == (-32602, "Invalid params", "Bad PID")
    assert host.mi("profiling_proc", [0])[2] == "Ambiguous call, use named parameters instead"


def test_the_consumers_of_the_log_begin_as_the_script_sets_them():
    host = CoreHost(parameters={"stderror_enabled": 1, "syslog_enabled": 0, "stderror_level_filter": 3})
    assert host.mi("log_mute_state", ["stderror"]) == {"mute state": 0}
    assert host.mi("log_mute_state", ["syslog"]) == {"mute state": 1}
    assert host.mi("log_mute_state", ["event"]) == {"mute state": 1}
    assert host.mi("log_level_filter", ["stderror"]) == {"Log level filter": 3}
    assert host.mi("log_level_filter", ["nosuch"]) == (404, "Unknown log consumer")
    assert host.mi("log_mute_state", ["nosuch", 1]) == (404, "Unknown log consumer")


def test_a_filtered_or_muted_consumer_takes_less_of_the_log(host):
    written = []

    class Handler(logging.StreamHandler):
        def emit(self, record):
            written.append(record.getMessage())

    handler, logger = Handler(), logging.getLogger("miscript")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        assert host.mi("log_level_filter", ["stderror", 1]) == "OK"
        logger.info("too fine")
        logger.warning("seen")
        assert host.mi("log_mute_state", ["stderror", 1]) == "OK"
        logger.error("muted")
        assert host.mi("log_mute_state", ["stderror", 0]) == "OK"
        logger.error("seen again")
    finally:
        logger.removeHandler(handler)
    assert written == ["seen", "seen again"]


def test_reload_routes_reads_the_script_again(host):
    assert host.mi("reload_routes") == "OK"
    assert host.routes.reloads == 1


def test_reload_routes_answers_with_the_first_mistake_and_logs_all(host, caplog):
    source = SourceFile("a.cfg", "route { x(); y(); }")
    diagnostics = Diagnostics()
    for column, name in ((8, "x"), (13, "y")):
        diagnostics.add("E302", f"there is no function '{name}'", Span(source, 1, column, 1, column + 1))
    host.routes.failure = ScriptError(tuple(diagnostics))
    code, message, data = host.mi("reload_routes")
    assert (code, message) == (500, "reload failed")
    assert "\n" not in data and "'x'" in data and "'y'" not in data
    assert "'x'" in caplog.text and "'y'" in caplog.text
