"""Answers to OPTIONS."""

from __future__ import annotations

from miscript.testing import RunningScript
from sip_scripts import Phone, sip_script

ROUTE = 'route { options_reply(); xlog("$rc\\n"); sl_send_reply(404, "Not Here"); }'


def options(parameters: str = "") -> RunningScript:
    return sip_script("options", ROUTE, parameters=parameters)


def test_options_for_the_server_are_answered_and_end_the_script():
    with options() as script:
        answer = Phone(script).ask("OPTIONS", uri="sip:10.0.0.1")
        assert (answer.status, answer.header("Accept"), answer.header("Accept-Language")) == (200, "*/*", "en")
        assert answer.header("Supported") is None and answer.header("Accept-Encoding") is None
        assert script.take() == ""


def test_its_capabilities_are_parameters():
    with options('modparam("options", "support", "path")\nmodparam("options", "accept", "")') as script:
        answer = Phone(script).ask("OPTIONS", uri="sip:10.0.0.1")
        assert (answer.header("Supported"), answer.header("Accept")) == ("path", None)


def test_options_for_a_user_and_other_methods_are_left_to_the_script():
    with options() as script:
        phone = Phone(script)
        assert phone.ask("OPTIONS", uri="sip:bob@10.0.0.1").status == 404
        assert phone.ask("INFO", uri="sip:10.0.0.1").status == 404
        assert script.take() == "-1\n-1\n"
