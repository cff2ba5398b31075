"""A call to the GRUU of a phone over real sockets: it rings there, and at no other phone of the same user."""

from __future__ import annotations

import re

from played_calls import phone, play

SCRIPT = """route {
    if (is_method("REGISTER")) { save("location"); exit; }
    if (!lookup("location")) { sl_send_reply(404, "Nobody"); exit; }
    t_relay();
}"""
HEAD = 'modparam("registrar", "disable_gruu", 0)\n'


async def test_a_call_to_a_temporary_gruu_rings_at_its_phone_alone():
    async with phone() as desk, phone() as mobile, play(SCRIPT, head=HEAD, modules="usrloc registrar") as now:
        for number, registered in enumerate((desk, mobile), 1):
            contact = f'Contact: <sip:bob@127.0.0.1:{registered.port}>;+sip.instance="<urn:uuid:{number}>"\r\n'
            more = f"{contact}Supported: gruu\r\n"
            text = now.request("REGISTER", number=number, more=more, branch=f"r{number}")
            now.alice.send(re.sub("\r\nContact: <sip:alice[^\r]*", "", text), now.port)
            answer = await now.alice.next()
            assert answer.status == 200
        gruu = re.findall(r'temp-gruu="([^"]*)"', answer.header("Contact") or "")[1]
        now.ask("MESSAGE", uri=gruu, number=9)
        now.answer(mobile, await mobile.next(), 202)
        assert await now.alice.told(1) == [202]
        assert desk.is_quiet
