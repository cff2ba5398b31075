"""The FreeSWITCH server of these tests, used by clients that no one here wrote: greenswitch, modesl, esl.

What it answers to them is what miscript is tested with: where the three get on with it, it is near enough to the real
thing.
"""

import asyncio
import json
import shutil
import subprocess
import sys

import pytest

from freeswitch_peer import FreeswitchPeer

pytestmark = pytest.mark.e2e

MODESL = "modesl@1.2.1"
ESL = "esl@11.2.1"
SECONDS = 30.0

GREENSWITCH = """
import json, sys
import gevent
from gevent.event import AsyncResult
import greenswitch

port = int(sys.argv[1])
try:
    greenswitch.InboundESL(host="127.0.0.1", port=port, password="wrong").connect()
    refused = False
except ValueError:
    refused = True
client = greenswitch.InboundESL(host="127.0.0.1", port=port, password="ClueCon")
client.connect()
job, custom, beat = AsyncResult(), AsyncResult(), AsyncResult()
client.register_handle("BACKGROUND_JOB", job.set)
client.register_handle("sofia::register", custom.set)
client.register_handle("HEARTBEAT", beat.set)
said = {
    "refused": refused,
    "status": client.send("api status").data,
    "subscribed": client.send("event plain HEARTBEAT BACKGROUND_JOB CUSTOM sofia::register").data,
    "job": client.send("bgapi echo in the background").headers["Job-UUID"],
}
event = job.get(timeout=10)
said["done"] = event.headers["Job-UUID"]
said["arguments"] = event.headers["Job-Command-Arg"]
print("ready", flush=True)
said["idle"] = beat.get(timeout=10).headers["Idle-CPU"]
said["user"] = custom.get(timeout=10).headers["from-user"]
said["unknown"] = client.send("nonsense").data
said["nixed"] = client.send("nixevent HEARTBEAT").data
client.stop()
print(json.dumps(said), flush=True)
"""

MODESL_PROGRAM = """
const esl = require("modesl");
const said = {};
const bad = new esl.Connection("127.0.0.1", +process.argv[1], "wrong");
bad.on("error", () => {});
bad.on("esl::event::auth::fail", () => {
  said.refused = true;
  const client = new esl.Connection("127.0.0.1", +process.argv[1], "ClueCon", () => {
    client.api("status", (reply) => {
      said.status = reply.getBody();
      client.bgapi("echo in the background", (event) => {
        said.done = event.getBody();
        client.subscribe(["HEARTBEAT", "CUSTOM", "sofia::register"], () => {
          client.on("esl::event::CUSTOM", (event) => { said.user = event.getHeader("from-user"); finish(); });
          client.on("esl::event::HEARTBEAT", (event) => { said.idle = event.getHeader("Idle-CPU"); finish(); });
          console.log("ready");
        });
      });
    });
  });
  const finish = () => {
    if (said.user === undefined || said.idle === undefined) return;
    client.sendRecv("nonsense", (reply) => {
      said.unknown = reply.getHeader("Reply-Text");
      client.on("esl::event::disconnect::notice", (event, headers, body) => {
        said.goodbye = body;
        console.log(JSON.stringify(said));
        process.exit(0);
      });
      client.send("exit");
    });
  };
});
"""

ESL_PROGRAM = """
import { FreeSwitchClient, once } from "esl";
const quiet = { debug() {}, info() {}, error() {} };
const client = new FreeSwitchClient({ port: +process.argv[2], password: "ClueCon", logger: quiet });
const connected = once(client, "connect");
await client.connect();
const [call] = await connected;
const said = {};
said.status = (await call.api("status", 5000)).body;
const job = await call.bgapi("echo in the background", 5000);
said.done = job.body._body ?? JSON.stringify(job.body);
const custom = once(call, "CUSTOM"), beat = once(call, "HEARTBEAT");
await call.event_json("HEARTBEAT", "CUSTOM", "sofia::register");
console.log("ready");
said.idle = (await beat)[0].body["Idle-CPU"];
said.user = (await custom)[0].body["from-user"];
await call.exit();
await client.end();
console.log(JSON.stringify(said));
process.exit(0);
"""


def installed(name):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name}")
    return found


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory):
    """A folder with both packages of npm."""
    installed("node")
    folder = tmp_path_factory.mktemp("freeswitch-clients")
    install = [installed("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", MODESL, ESL]
    done = subprocess.run(install, check=False, cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm cannot install {MODESL} and {ESL}: {done.stderr.strip().splitlines()[-1:]}")
    return folder


async def said_by(peer, *command, folder=None):
    """What a client told at its end; when it is ready, it gets a heartbeat and a registration."""
    client = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(SECONDS):
            first = await client.stdout.readline()
            if first == b"ready\n":
                assert peer.heartbeat(idle_cpu=12.5) == 1
                assert peer.raise_event("CUSTOM", {"Event-Subclass": "sofia::register", "from-user": "alice b"}) == 1
                assert peer.raise_event("DTMF") == 0
            out, err = await client.communicate()
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()
    assert client.returncode == 0, (first, err.decode())
    return json.loads(out)


async def test_greenswitch_gets_on_with_it():
    pytest.importorskip("greenswitch")
    async with FreeswitchPeer() as peer:
        said = await said_by(peer, sys.executable, "-c", GREENSWITCH, str(peer.port))
    assert said.pop("job") == said.pop("done")
    assert said == {
        "refused": True,
        "status": peer.run("status"),
        "subscribed": "+OK event listener enabled plain",
        "arguments": "in the background",
        "idle": "12.500000",
        "user": "alice b",
        "unknown": "-ERR command not found",
        "nixed": "+OK events nixed",
    }


async def test_modesl_gets_on_with_it(node_modules):
    async with FreeswitchPeer() as peer:
        said = await said_by(peer, "node", "-e", MODESL_PROGRAM, str(peer.port), folder=node_modules)
    assert said == {
        "refused": True,
        "status": peer.run("status"),
        "done": "in the background",
        "idle": "12.500000",
        "user": "alice b",
        "unknown": "-ERR command not found",
        "goodbye": "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n",
    }


async def test_esl_gets_on_with_it(node_modules):
    (node_modules / "client.mjs").write_text(ESL_PROGRAM)
    async with FreeswitchPeer() as peer:
        said = await said_by(peer, "node", "client.mjs", str(peer.port), folder=node_modules)
    assert said == {"status": peer.run("status"), "done": "in the background", "idle": "12.500000", "user": "alice b"}
