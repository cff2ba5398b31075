"""Calls of real phones (sipp) whose ends do not see each other, and that are accounted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sipp_calls import CALLEE, CALLER, call, expect_request, free_port, needs_sipp, phone, proxy

pytestmark = [pytest.mark.e2e, needs_sipp()]

SCRIPT = """
log_level = 3
socket = udp:127.0.0.1:{port}
loadmodule "proto_udp.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "signaling.so"
loadmodule "sipmsgops.so"
loadmodule "dialog.so"
loadmodule "topology_hiding.so"
loadmodule "acc.so"
route {{
    if (has_totag()) {{
        if (is_method("ACK") && t_check_trans()) {{ t_relay(); exit; }}
        if (!topology_hiding_match()) {{
            if (!is_method("ACK")) send_reply(404, "Not here");
            exit;
        }}
        do_accounting("log");
        t_relay();
        exit;
    }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    t_check_trans();
    {begin}
    $ru = "sip:bob@127.0.0.1:{phones}";
    t_relay();
}}
"""

ONE_VIA_AND_OUR_CONTACT = """
<recv request="INVITE">
  <action>
    <ereg regexp=".+" search_in="hdr" header="Via:" occurence="2" check_it_inverse="true" assign_to="none"/>
    <ereg regexp="{contact}" search_in="hdr" header="Contact:" check_it="true" assign_to="none"/>
  </action>
</recv>
"""
MODES = {
    "in contacts": ('do_accounting("log"); topology_hiding();', "127.0.0.1:{port};thinfo="),
    "in dialogs": (
        'create_dialog(); do_accounting("log", "cdr"); topology_hiding("U");',
        "alice@127.0.0.1:{port};did=",
    ),
    "with other Call-IDs": (
        'do_accounting("log", "cdr"); topology_hiding("UDC");',
        "alice.did.[0-9a-f.]+@127.0.0.1:{port}",
    ),
}
CALLS = 10


@pytest.mark.parametrize("mode", MODES)
def test_calls_go_through_and_each_is_accounted(tmp_path: Path, mode: str) -> None:
    port = free_port()
    phones = free_port()
    begin, contact = MODES[mode]
    recv = ONE_VIA_AND_OUR_CONTACT.format(contact=contact.format(port=port))
    callee = CALLEE.replace(expect_request("INVITE"), recv).replace(
        "</scenario>", '<Reference variables="none"/></scenario>'
    )
    assert recv in callee
    with (
        proxy(SCRIPT.format(port=port, phones=phones, begin=begin), tmp_path, port) as running,
        phone(tmp_path, "callee", callee, phones),
    ):
        assert call(tmp_path, CALLER, port, calls=CALLS) == ""
    if mode == "in contacts":
        assert len(re.findall(r"ACC: transaction answered: .*method=INVITE;.*code=200", running.log)) == CALLS
        assert len(re.findall(r"ACC: transaction answered: .*method=BYE;.*code=200", running.log)) == CALLS
    else:
        assert len(re.findall(r"ACC: call ended: .*method=INVITE;.*code=200", running.log)) == CALLS
        assert "transaction answered" not in running.log
    assert "Traceback" not in running.log
