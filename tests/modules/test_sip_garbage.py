"""A call that is over leaves nothing that only the garbage collector would find."""

import gc

from dialog_calls import call
from miscript.modules.tm.transaction import ClientBranch, ProxyTransaction
from miscript.sip import Message
from miscript.sip.dialogs import Dialog

STATE = (ProxyTransaction, ClientBranch, Dialog)


def kept():
    return sum(isinstance(found, STATE) for found in gc.get_objects())


def test_the_state_of_calls_goes_away_by_itself():
    one = call()
    gc.collect()
    before = kept()
    gc.disable()
    try:
        one.established()
        one.request("BYE")
        one.bob.reply(one.bob.only("BYE"), 200)
        assert kept() > before
        one.script.advance(60)
        assert kept() == before
    finally:
        gc.enable()
        one.script.close()


def test_a_failed_call_too():
    one = call()
    gc.collect()
    before = kept()
    gc.disable()
    try:
        one.request("INVITE")
        invite: Message = one.bob.only("INVITE")
        one.bob.reply(invite, 486)
        one.request("ACK", cseq=1)
        one.script.advance(60)
        assert kept() == before
    finally:
        gc.enable()
        one.script.close()
