"""The module freeswitch: connections to event sockets, on a FreeSWITCH server of our own (freeswitch_peer)."""

import asyncio
import contextlib
import json
import logging

import pytest

from freeswitch_peer import FreeswitchPeer
from miscript.errors import ConfigurationError
from miscript.esl import EslError, EventSocketAddress, Subscription
from miscript.freeswitch_service import FreeswitchError, Heartbeat, freeswitch_service
from miscript.host.tasks import TaskTable
from miscript.modules.freeswitch import Freeswitch
from miscript.modules.freeswitch.backoff import pause_after
from miscript.modules.freeswitch.deliveries import Deliveries
from miscript.modules.freeswitch.interests import Interests
from miscript.modules.freeswitch.link import MAX_COMMANDS
from miscript.modules.freeswitch.link import log as link_log
from miscript.modules.freeswitch.table import MAX_LINKS
from miscript.testing import ManualClock
from module_services import module_services

pytestmark = pytest.mark.e2e
SOON = 10.0


class Sockets:
    """The module, with a clock that a test moves: `async with Sockets() as sockets`."""

    def __init__(self, **parameters):
        self.clock = ManualClock()
        self.services = module_services(self.clock)
        self.services.tasks = TaskTable(self.clock)
        self.module = Freeswitch(self.services)
        for name, value in parameters.items():
            self.module.set_parameter(name, value)
        self.module.init()
        self.table = freeswitch_service(self.services)
        self.events = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await self.module.stop()
        await self.services.tasks.stop()
        assert self.services.tasks.failures == 0

    def heard(self, socket, event):
        self.events.append((str(socket), event.name, event.header("Event-Sequence")))

    async def connected(self, peer):
        """A socket of the peer that takes commands."""
        socket = self.table.acquire(peer.url)
        await self.until(lambda: socket.connected)
        return socket

    async def until(self, condition):
        """Wait for something that sockets bring, while the clock stands still."""
        async with asyncio.timeout(SOON):
            while not condition():  # noqa: ASYNC110  # what real sockets do sets no event
                await asyncio.sleep(0.001)


def commands_of(peer):
    return [command for command in peer.commands if not command.startswith("auth")]


# -- commands ---------------------------------------------------------------------------------------------------


async def test_a_command_has_the_reply_or_the_output():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = sockets.table.acquire(peer.url)  # the first command waits for the connection
        assert await socket.command("api status") == peer.run("status")
        assert await socket.command("bgapi status\njob-uuid: foobar") == "+OK Job-UUID: foobar"
        assert await socket.command("nonsense\n\n") == "-ERR command not found"
        assert await socket.command("api echo \xe9") == "\xe9"


async def test_users_log_in_with_their_names():
    async with FreeswitchPeer(user="me@here", password="p:w") as peer, Sockets() as sockets:
        socket = sockets.table.acquire(peer.url)
        assert await socket.command("api echo hi") == "hi"
        assert peer.commands[0] == "userauth me@here:p:w"


async def test_replies_belong_to_commands_by_their_order():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = await sockets.connected(peer)
        texts = [f"text {number}" for number in range(50)]
        assert await asyncio.gather(*(socket.command(f"api echo {text}") for text in texts)) == texts


async def test_a_slow_command_fails_and_its_late_reply_is_nobodys():
    async with FreeswitchPeer() as peer, Sockets(esl_cmd_timeout=3000) as sockets:
        socket = await sockets.connected(peer)
        peer.may_answer.clear()
        slow = asyncio.ensure_future(socket.command("api echo slow"))
        await peer.until(lambda: "api echo slow" in peer.commands)
        await sockets.clock.advance(2.9)
        assert not slow.done()
        await sockets.clock.advance(0.2)
        with pytest.raises(FreeswitchError, match=r"no reply within 3 s"):
            await slow
        peer.may_answer.set()
        assert await socket.command("api echo quick") == "quick"
        assert socket.waiting == 0


async def test_a_cancelled_command_leaves_its_place():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = await sockets.connected(peer)
        peer.may_answer.clear()
        given_up = asyncio.ensure_future(socket.command("api echo given up"))
        await peer.until(lambda: "api echo given up" in peer.commands)
        given_up.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await given_up
        peer.may_answer.set()
        assert await socket.command("api echo next") == "next"


async def test_commands_that_wait_have_a_limit():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = await sockets.connected(peer)
        peer.may_answer.clear()
        waiting = [asyncio.ensure_future(socket.command("api status")) for _ in range(MAX_COMMANDS)]
        await asyncio.sleep(0)
        with pytest.raises(FreeswitchError, match=f"{MAX_COMMANDS} commands wait"):
            await socket.command("api status")
        peer.may_answer.set()
        assert set(await asyncio.gather(*waiting)) == {peer.run("status")}


@pytest.mark.parametrize("text", ["", "\n", "api a\n\napi b", "x" * 70000])
async def test_what_is_no_command_is_not_sent(text):
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = await sockets.connected(peer)
        with pytest.raises(FreeswitchError):
            await socket.command(text)
        assert await socket.command("api echo still there") == "still there"
        assert commands_of(peer) == ["api echo still there"]


# -- background jobs --------------------------------------------------------------------------------------------


async def test_a_background_job_gives_its_result_and_lets_others_go_on():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = await sockets.connected(peer)
        peer.finishes_jobs = False
        job = asyncio.ensure_future(socket.background("originate user/1 9386", 60))
        await peer.until(lambda: any(command.startswith("bgapi") for command in peer.commands))
        assert await socket.command("api echo meanwhile") == "meanwhile"
        command = next(command for command in peer.commands if command.startswith("bgapi"))
        uuid = command.partition("Job-UUID: ")[2]
        peer.raise_event("BACKGROUND_JOB", {"Job-UUID": "another"}, "no")
        peer.raise_event("BACKGROUND_JOB", {"Job-UUID": uuid}, "+OK done\n")
        assert await asyncio.wait_for(job, SOON) == "+OK done\n"
        await peer.until(lambda: "nixevent BACKGROUND_JOB" in peer.commands)


async def test_a_background_job_that_does_not_end_fails():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = await sockets.connected(peer)
        peer.finishes_jobs = False
        job = asyncio.ensure_future(socket.background("originate user/1 9386", 20))
        await peer.until(lambda: any(command.startswith("bgapi") for command in peer.commands))
        await sockets.clock.advance(21)
        with pytest.raises(FreeswitchError, match="did not end within 20 s"):
            await job


async def test_a_background_job_ends_with_its_connection():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = await sockets.connected(peer)
        peer.finishes_jobs = False
        job = asyncio.ensure_future(socket.background("originate user/1 9386", 20))
        await peer.until(lambda: any(command.startswith("bgapi") for command in peer.commands))
        await sockets.until(lambda: socket.waiting == 0)
        peer.drop()
        with pytest.raises(FreeswitchError, match="the connection was lost"):
            await asyncio.wait_for(job, SOON)


# -- connections that die ---------------------------------------------------------------------------------------


async def test_a_connection_that_dies_fails_its_commands_at_once_and_comes_back():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = await sockets.connected(peer)
        socket.subscribe("test", ["DTMF"], sockets.heard)
        await peer.until(lambda: "event json DTMF" in peer.commands)
        peer.may_answer.clear()
        pending = [asyncio.ensure_future(socket.command(f"api echo {n}")) for n in range(3)]
        await peer.until(lambda: any(command.startswith("api") for command in peer.commands))
        peer.drop()
        results = await asyncio.wait_for(asyncio.gather(*pending, return_exceptions=True), SOON)
        assert {type(result) for result in results} == {FreeswitchError}
        assert all("the connection was lost" in str(result) for result in results)
        assert socket.waiting == 0
        assert not socket.connected
        peer.may_answer.set()
        await sockets.clock.advance(1.0)
        await sockets.until(lambda: socket.connected)
        assert await socket.command("api echo back") == "back"
        await peer.until(lambda: commands_of(peer).count("event json DTMF") == 2)
        await sockets.until(lambda: not socket.waiting)
        assert peer.raise_event("DTMF") == 1
        await sockets.until(lambda: sockets.events)
        assert len(sockets.events) == 1


async def test_a_server_that_is_away_is_tried_less_and_less_often(caplog):
    peer = FreeswitchPeer()
    async with peer, Sockets() as sockets:
        await sockets.connected(peer)
        socket = sockets.table.acquire(peer.url)
        await peer.stop()
        await sockets.until(lambda: not socket.connected)
        with caplog.at_level(logging.ERROR, link_log.name):
            for failed in range(1, 41):
                await sockets.clock.advance(pause_after(failed - 1))
                await sockets.until(lambda failed=failed: socket.failures == failed)
                with pytest.raises(FreeswitchError, match=r"not connected: .*"):
                    await socket.command("api status")
        assert len(caplog.records) == 2  # lost, cannot be reached: not forty times
        await peer.start()
        await sockets.clock.advance(9.0)
        await sockets.clock.settle()
        assert not socket.connected
        await sockets.clock.advance(1.0)
        await sockets.until(lambda: socket.connected)
        assert await socket.command("api echo back") == "back"


def test_pauses_grow():
    assert [pause_after(n) for n in (0, 19, 20, 40, 60, 80, 1000)] == [1.0, 1.0, 5.0, 10.0, 30.0, 90.0, 90.0]


async def test_a_server_that_says_nothing_is_given_up_after_the_connect_timeout():
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Sockets(esl_connect_timeout=2000) as sockets:
        socket = sockets.table.acquire(f":pw@127.0.0.1:{port}")
        command = asyncio.ensure_future(socket.command("api status"))
        with pytest.raises(FreeswitchError, match=r"not connected"):
            await sockets.clock.until(command)
        await sockets.until(lambda: socket.failures == 1)
        assert sockets.clock.monotonic() == 2.0


@pytest.mark.parametrize("rejects", [False, True])
async def test_a_server_that_does_not_want_us_is_asked_again_with_a_new_password(rejects):
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        peer.rejects = rejects
        socket = sockets.table.acquire(f":wrong@127.0.0.1:{peer.port}")
        with pytest.raises(FreeswitchError, match=r"not connected: login refused: (invalid|Access Denied)"):
            await socket.command("api status")
        peer.rejects = False
        assert sockets.table.acquire(peer.url) is socket
        await sockets.until(lambda: socket.connected)  # without a pause: the clock stands still
        assert await socket.command("api echo hi") == "hi"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\n\n",
        b"Content-Type: command/reply\nReply-Text: +OK nobody asked\n\n",
        b"Content-Type: text/event-json\nContent-Length: 2\n\n{}",
        b"Content-Type: auth/request\n\n",
        b"Content-Type: api/response\nContent-Length: 99999999999\n\n",
        b"Content-Type: text/disconnect-notice\nContent-Length: 4\n\nbye\n",
    ],
)
async def test_a_server_that_breaks_the_protocol_is_connected_anew(data):
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = await sockets.connected(peer)
        peer.raw(data)
        await sockets.until(lambda: not socket.connected)
        await sockets.clock.advance(1.0)
        await sockets.until(lambda: socket.connected)
        assert await socket.command("api echo back") == "back"


async def test_exit_in_a_script_is_answered_and_the_connection_comes_back():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = await sockets.connected(peer)
        assert await socket.command("exit") == "+OK bye"
        await sockets.until(lambda: not socket.connected)
        await sockets.clock.advance(1.0)
        await sockets.until(lambda: socket.connected)


# -- subscriptions ----------------------------------------------------------------------------------------------


async def test_subscriptions_are_counted():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = await sockets.connected(peer)
        socket.subscribe("one", ["DTMF", "CHANNEL_ANSWER"], sockets.heard)
        socket.subscribe("one", ["DTMF"], sockets.heard)
        socket.subscribe("two", ["DTMF"])
        await peer.until(lambda: "event json CHANNEL_ANSWER" in peer.commands)
        socket.unsubscribe("one", ["DTMF", "CHANNEL_ANSWER"])
        await peer.until(lambda: "nixevent CHANNEL_ANSWER" in peer.commands)
        peer.raise_event("DTMF")
        await sockets.until(lambda: sockets.events)
        socket.unsubscribe("one", ["DTMF"])
        peer.raise_event("DTMF")
        assert await socket.command("api echo 1") == "1"
        assert "nixevent DTMF" not in peer.commands  # two still wants it
        socket.unsubscribe("two", ["DTMF"])
        await peer.until(lambda: "nixevent DTMF" in peer.commands)
        assert [name for _, name, _ in sockets.events] == ["DTMF"]


async def test_the_server_is_asked_again_for_what_it_refused(caplog):
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        peer.refuses = {"NOSUCH"}
        socket = await sockets.connected(peer)
        socket.subscribe("test", ["NOSUCH", "DTMF"])
        await peer.until(lambda: "event json DTMF" in peer.commands)
        await sockets.until(lambda: not socket.waiting)
        await sockets.clock.advance(5.0)
        await peer.until(lambda: commands_of(peer).count("event json NOSUCH") == 2)
        peer.refuses.clear()
        await sockets.until(lambda: not socket.waiting)
        await sockets.clock.advance(5.0)
        await peer.until(lambda: commands_of(peer).count("event json NOSUCH") == 3)
        await sockets.until(lambda: not socket.waiting)
        await sockets.clock.advance(60.0)
        assert commands_of(peer).count("event json NOSUCH") == 3
        assert commands_of(peer).count("event json DTMF") == 1
        assert sum("refuses 'NOSUCH'" in record.message for record in caplog.records) == 1


async def test_ending_all_events_keeps_those_that_others_want():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = await sockets.connected(peer)
        socket.subscribe("one", ["DTMF"], sockets.heard)
        socket.subscribe("two", ["ALL"])
        await peer.until(lambda: "event json ALL" in peer.commands)
        await sockets.until(lambda: not socket.waiting)
        socket.unsubscribe("two", ["ALL"])
        await peer.until(lambda: commands_of(peer)[-2:] == ["nixevent ALL", "event json DTMF"])
        await sockets.until(lambda: not socket.waiting)
        assert peer.raise_event("HEARTBEAT") == 0
        assert peer.raise_event("DTMF") == 1


async def test_events_in_plain_form_arrive_as_json():
    """A script may switch the form of the whole connection with a command of its own."""
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = await sockets.connected(peer)
        found = []
        socket.subscribe("test", ["CUSTOM sofia::register"], lambda _, event: found.append(event.text))
        await peer.until(lambda: "event json CUSTOM sofia::register" in peer.commands)
        assert (await socket.command("event plain DTMF")).startswith("+OK")
        event = {"Event-Subclass": "sofia::register", "from-user": "alice b"}
        assert peer.raise_event("CUSTOM", event, "hello") == 1
        await sockets.until(lambda: found)
        assert json.loads(found[0]).items() >= {**event, "Event-Name": "CUSTOM", "_body": "hello"}.items()


async def test_a_listener_that_fails_does_not_harm_the_others(caplog):
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = await sockets.connected(peer)
        socket.subscribe("bad", ["DTMF"], lambda *_: 1 / 0)
        socket.subscribe("good", ["DTMF"], sockets.heard)
        await peer.until(lambda: "event json DTMF" in peer.commands)
        await sockets.until(lambda: not socket.waiting)
        peer.raise_event("DTMF")
        await sockets.until(lambda: sockets.events)
        assert "a listener of FreeSWITCH's event DTMF failed" in caplog.text


async def test_events_that_nobody_takes_are_dropped_and_counted(caplog):
    deliveries, told = Deliveries(limit=3), []
    event = type("Event", (), {"text": "{}", "name": "DTMF"})()
    kept = [deliveries.put(lambda *_: told.append(1), None, event) for _ in range(5)]
    assert kept == [True, True, True, False, False]
    task = asyncio.ensure_future(deliveries.run())
    async with asyncio.timeout(SOON):
        while len(told) < 3 or "2 events" not in caplog.text:  # noqa: ASYNC110  # the turns are what is tested
            await asyncio.sleep(0)
    assert deliveries.put(lambda *_: told.append(1), None, event)
    task.cancel()


def test_a_bad_name_among_good_ones_changes_nothing():
    interests = Interests()
    with pytest.raises(EslError):
        interests.add("test", ["DTMF", "a\nb"], None)
    assert interests.missing() == []
    interests.remove("test", ["DTMF"])
    interests.add("test", ["DTMF HEARTBEAT"], None)
    assert interests.missing() == [Subscription("DTMF"), Subscription("HEARTBEAT")]


# -- heartbeats -------------------------------------------------------------------------------------------------


async def test_heartbeats_tell_the_load_of_a_server():
    async with FreeswitchPeer() as peer, Sockets(event_heartbeat_interval=20) as sockets:
        assert sockets.table.heartbeat_interval == 20
        socket = sockets.table.acquire_heartbeats(peer.url, "load_balancer")
        other = sockets.table.acquire_heartbeats(peer.url, "dispatcher")
        assert socket is other
        await peer.until(lambda: "event json HEARTBEAT" in peer.commands)
        await sockets.until(lambda: not socket.waiting)
        assert socket.heartbeat is None
        peer.heartbeat(idle_cpu=97.5, sessions=3, most=1000)
        await sockets.until(lambda: socket.heartbeat)
        assert socket.heartbeat == Heartbeat(97.5, 3, 1000, sockets.clock.monotonic())
        peer.raise_event("HEARTBEAT", {"Idle-CPU": "nan", "Session-Count": "1", "Max-Sessions": "2"})
        peer.raise_event("HEARTBEAT", {"Idle-CPU": "1"})
        assert await socket.command("api echo 1") == "1"
        assert socket.heartbeat.idle_cpu == 97.5
        peer.drop()
        await sockets.until(lambda: not socket.connected)
        assert socket.heartbeat is None  # old figures would be a lie
        sockets.table.release_heartbeats(socket, "load_balancer")
        sockets.table.release_heartbeats(other, "dispatcher")


# -- the table of sockets ---------------------------------------------------------------------------------------


async def test_one_connection_serves_all_who_name_a_server():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        first = await sockets.connected(peer)
        assert sockets.table.acquire(f"127.0.0.1:{peer.port}?DTMF") is first
        assert peer.connections == 1
        sockets.table.release(first)
        assert first.connected
        sockets.table.release(first)
        await peer.until(lambda: not peer.ready)
        assert len(sockets.table) == 0


async def test_a_socket_that_ran_a_command_waits_a_day_for_the_next():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = sockets.table.acquire(peer.url)
        await socket.command("api status")
        sockets.table.release(socket)
        assert sockets.table.acquire(f"127.0.0.1:{peer.port}") is socket  # no password is needed now
        sockets.table.release(socket)
        await sockets.clock.advance(86_000)
        assert peer.ready
        await sockets.clock.advance(1000)
        await peer.until(lambda: not peer.ready)
        assert len(sockets.table) == 0


async def test_a_socket_that_nobody_holds_does_not_come_back():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = sockets.table.acquire(peer.url)
        await socket.command("api status")
        sockets.table.release(socket)
        peer.drop()
        await sockets.until(lambda: len(sockets.table) == 0)
        assert peer.connections == 1


async def test_sockets_have_a_limit_and_the_longest_idle_one_goes_first(monkeypatch):
    monkeypatch.setattr("miscript.modules.freeswitch.table.MAX_LINKS", 2)
    assert MAX_LINKS >= 100
    async with FreeswitchPeer() as peer, FreeswitchPeer() as second, Sockets() as sockets:
        idle = await sockets.connected(peer)
        await idle.command("api status")
        sockets.table.release(idle)
        held = await sockets.connected(second)
        sockets.table.acquire(":pw@127.0.0.1:1")
        await peer.until(lambda: not peer.ready)
        with pytest.raises(FreeswitchError, match="there are 2 sockets already"):
            sockets.table.acquire(":pw@127.0.0.1:2")
        assert held.connected


async def test_a_new_socket_needs_a_password():
    async with Sockets() as sockets:
        with pytest.raises(FreeswitchError, match="a new socket needs a password"):
            sockets.table.acquire("127.0.0.1:1")
        with pytest.raises(EslError):
            sockets.table.acquire("not a url")
        assert len(sockets.table) == 0


async def test_a_login_from_a_table_stands_above_those_of_urls():
    async with FreeswitchPeer() as peer, Sockets() as sockets:
        socket = sockets.table.acquire(EventSocketAddress.parse(peer.url), provisioned=True)
        sockets.table.acquire(f"you:wrong@127.0.0.1:{peer.port}")
        assert (socket.address.user, socket.address.password) == ("", peer.password)
        sockets.table.provision_ended(socket)
        sockets.table.acquire(f"you:other@127.0.0.1:{peer.port}")
        assert (socket.address.user, socket.address.password) == ("you", "other")
        sockets.table.acquire(f"127.0.0.1:{peer.port}")
        assert (socket.address.user, socket.address.password) == ("", "other")


async def test_nothing_is_left_when_the_host_stops():
    async with FreeswitchPeer() as peer:
        async with Sockets() as sockets:
            socket = await sockets.connected(peer)
            peer.may_answer.clear()
            pending = asyncio.ensure_future(socket.command("api status"))
            await asyncio.sleep(0)
        with pytest.raises(FreeswitchError, match="closed"):
            await pending
        peer.may_answer.set()
        await peer.until(lambda: not peer.ready)


@pytest.mark.parametrize("name", ["event_heartbeat_interval", "esl_connect_timeout", "esl_cmd_timeout"])
def test_times_must_be_positive(name):
    with pytest.raises(ConfigurationError, match=f"{name} must be positive, found 0"):
        Sockets(**{name: 0})
