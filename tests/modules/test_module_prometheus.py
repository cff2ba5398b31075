"""What prometheus says at the start of parameters that name nothing; its page is tested in tests/e2e/test_httpd.py."""

import socket

import pytest

from miscript import ConfigurationError
from miscript.testing import RunningScript


def script(*parameters):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    head = f'loadmodule "httpd.so"\nloadmodule "prometheus.so"\nmodparam("httpd", "port", {port})\n'
    return head + "".join(f'modparam("prometheus", "{n}", "{v}")\n' for n, v in parameters) + "startup_route { exit; }"


def test_a_route_that_is_not_there_ends_the_start():
    with (
        pytest.raises(ConfigurationError, match=r"test.*:4:.*there is no route 'nope'") as caught,
        RunningScript(script(("script_route", "nope"))),
    ):
        raise AssertionError("it starts")
    assert caught.value.parameter == "script_route"


def test_what_nothing_is_counted_as_is_told_and_the_rest_is_not(caplog):
    with RunningScript(script(("statistics", "nope: shmem: core:rcv_requests uptime"))):
        told = [record.args[0] for record in caplog.records if record.name == "miscript.prometheus"]
    assert told == ["nope:", "uptime"]


def test_all_statistics_need_no_name(caplog):
    with RunningScript(script(("statistics", "all"))):
        assert "miscript.prometheus" not in {record.name for record in caplog.records}
