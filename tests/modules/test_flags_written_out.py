"""Flags that there are not are found when a script is checked, where they are written out."""

from __future__ import annotations

import pytest

from miscript.errors import ScriptError
from miscript.testing import MemoryNetwork, RunningScript

MODULES = "".join(
    f'loadmodule "{name}.so"\n' for name in ("sl", "signaling", "tm", "rr", "dialog", "usrloc", "registrar")
)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ('t_relay("no-auto-477, 0x02")', "'t_relay': there is no flag '0x02', expected some of allow-no-cancel"),
        ('t_cancel_branch("z")', "'t_cancel_branch': there is no flag 'z', expected a or o"),
        ('create_dialog("B")', "'create_dialog': there is no flag 'B', expected some of auto-prack"),
        ('set_via_handling("rport")', "'set_via_handling': there is no flag 'rport', expected some of add-local-rport"),
        ('save("location", "f")', "'save': "),
        ('lookup("location", "m")', "'lookup': "),
    ],
)
def test_a_flag_that_there_is_not_is_found_before_the_script_runs(call: str, told: str):
    kind = "onreply_route[r]" if "cancel" in call else "route"
    text = f"{MODULES}{kind} {{ {call}; }}" + (" route { exit; }" if kind != "route" else "")
    with pytest.raises(ScriptError, match="E410") as found, RunningScript(text, network=MemoryNetwork()):
        pass
    assert f"argument 'flags' of {told}" in str(found.value)


@pytest.mark.parametrize("call", ['t_relay("no-auto-477,no-dns-failover")', 'save("location", "no-reply, path-off")'])
def test_flags_that_there_are_pass(call: str):
    with RunningScript(f"{MODULES}route {{ {call}; }}", network=MemoryNetwork()):
        pass
