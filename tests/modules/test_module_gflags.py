"""Global flags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import MIError
from miscript.host.loading import Source, check_source
from miscript.modules.gflags import GlobalFlags, mask_of
from miscript.script.diagnostics import Diagnostics
from module_services import module_services, new_run
from script_lines import printed


def flags(initial: int = 0) -> GlobalFlags:
    module = GlobalFlags(module_services())
    module.set_parameter("initial", initial)
    module.init()
    return module


def test_functions_take_the_number_of_a_flag() -> None:
    module, run = flags(5), new_run()
    assert [module.is_gflag(run, flag) for flag in range(4)] == [1, -1, 1, -1]
    assert module.set_gflag(run, 31) == module.reset_gflag(run, 0) == 1
    assert module.flags == 0x80000004


@pytest.mark.parametrize("flag", [-1, 32, 2**31 - 1])
def test_a_flag_that_is_none_fails_and_changes_nothing(flag: int) -> None:
    module, run = flags(5), new_run()
    assert module.set_gflag(run, flag) == module.reset_gflag(run, flag) == module.is_gflag(run, flag) == -1
    assert module.flags == 5


def test_commands_take_a_mask() -> None:
    module = flags()
    assert module.mi_set("0x6") == "OK"
    assert module.mi_check("6") and not module.mi_check("12")
    assert module.mi_get() == {"hex": "0x6", "dec": "6"}
    module.mi_set("4294967295")
    assert module.mi_get() == {"hex": "0xFFFFFFFF", "dec": "4294967295"}
    assert module.mi_reset("0xffffffff") == "OK"
    assert module.mi_get() == {"hex": "0x0", "dec": "0"}


def test_a_negative_start_value_is_a_mask_of_32_bits() -> None:
    assert flags(-1).mi_get() == {"hex": "0xFFFFFFFF", "dec": "4294967295"}


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "+5", "0x", "1x", "0b1", "abc", "4294967296", "0x100000000", "9" * 99, "²"]
)
def test_what_is_no_mask_is_refused(text: str) -> None:
    with pytest.raises(MIError, match="Bad parameter value"):
        mask_of(text)


@given(st.text())
def test_any_text_is_a_mask_or_refused(text: str) -> None:
    try:
        assert 0 < mask_of(text) < 2**32
    except MIError as error:
        assert error.code == 400


async def test_commands_answer_under_all_their_names() -> None:
    assert await printed(
        "gflags mi_script",
        r"""
        mi("set_gflag 4", $var(r)); xlog("$rc $var(r)\n"); mi("gflags:check 4", $var(r)); xlog("$rc $var(r)\n");
        mi("gflags:is_gflag 2", $var(r)); xlog("$rc $var(r)\n"); mi("set_gflag many", $var(r)); xlog("$rc $var(r)\n");
        mi("get_gflags", $var(r)); xlog("$rc $var(r)\n");
        """,
    ) == ['1 "OK"', "1 true", "1 false", "-400 Bad parameter value", '1 {"hex":"0x4","dec":"4"}']


@pytest.mark.parametrize("call", ["set_gflag(32)", "is_gflag(-1)", "reset_gflag(99)"])
def test_a_flag_that_there_is_not_is_found_without_running(call: str) -> None:
    found = Diagnostics()
    check_source(Source("a.cfg", f'loadmodule "gflags.so"\nroute {{ {call}; is_gflag(31); set_gflag(0); }}'), found)
    assert [d.code for d in found] == ["E410"]
