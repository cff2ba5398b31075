"""Running programs, and what of a command can never be one."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miscript import running
from miscript.errors import ScriptError
from miscript.host.loading import Source
from miscript.modules.exec.command_text import CommandError, command_text, plain_command
from miscript.modules.exec.environment import message_environment
from miscript.modules.exec.processes import Job, Processes
from miscript.sip.message import Message
from script_lines import printed

IDLE = Source("test.cfg", 'loadmodule "exec.so"\nstartup_route { xlog("x"); }')

# -- commands as the script writes them ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ls -l", ["ls", "-l"]),
        ("a 'b c' \"d e\" f\\ g", ["a", "b c", "d e", "f g"]),
        ('a "b\\"c" "d\\e" \'\'', ["a", 'b"c', "d\\e", ""]),
        ("a --opt=1 x'y'z", ["a", "--opt=1", "xyz"]),
        ("", []),
    ],
)
def test_a_command_without_shell_syntax_is_words(text: str, words: list[str]):
    found = command_text([text])
    assert found.argv([]) == words and not found.needs_shell


@pytest.mark.parametrize("text", ["a|b", "a; b", "a > f", "a $X", 'a "$X"', "a `b`", "a *", "X=1 a", "a && b", "(a)"])
def test_what_only_a_shell_does_needs_one(text: str):
    assert command_text([text]).needs_shell
    with pytest.raises(CommandError, match="shell syntax"):
        plain_command(text)


@pytest.mark.parametrize("text", ["a 'b", 'a "b', "a $(b", "a `b"])
def test_a_quote_that_is_not_closed_is_refused(text: str):
    with pytest.raises(CommandError, match="not closed"):
        command_text([text])


EVIL = "'; touch hacked; \" $(touch hacked) `touch hacked` && touch hacked #\n*"


@pytest.mark.parametrize(
    "pieces",
    [
        ["printf %s ", 0],
        ["printf %s '", 0, "'"],
        ['printf %s "', 0, '"'],
        ["printf %s ", 0, " | cat"],
        ["printf %s '", 0, "' | cat; true"],
        ['printf %s "', 0, '" && true'],
        ['printf %s "$(printf %s ', 0, ')"'],
        ["printf %s \"$(printf %s '", 0, "')\""],
        ["printf %s \"`printf %s '", 0, "'`\""],
        ["printf %s \\", 0, " | cat"],
    ],
)
def test_a_value_is_one_word_whatever_it_holds(pieces: list[str | int], tmp_path: Path):
    found = command_text(pieces)
    for argv in [found.shell_argv([EVIL]), *([] if found.needs_shell else [found.argv([EVIL])])]:
        done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=10)
        assert (done.stdout, files_in(tmp_path)) == (EVIL, [])


async def test_a_large_input_and_a_large_output_flow_at_the_same_time():
    """Neither waits for the other, and a program that reads nothing does not matter."""
    async with running(IDLE, lambda text: None) as host:
        processes = Processes(host.services, 10)
        data = b"0123456789abcdef" * 40_000
        assert (await processes.run(Job(["cat"], None, {}, data, True, True))).stdout == data
        assert (await processes.run(Job(["true"], None, {}, data, True, False))).stdout == b""


async def test_the_end_of_programs_is_seen_where_the_system_cannot_tell_a_loop(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    async with running(IDLE, lambda text: None) as host:
        processes = Processes(host.services, None)
        assert (await processes.run(Job(["echo", "x"], None, {}, None, True, False))).stdout == b"x\n"
        async with asyncio.timeout(5):
            while len(processes):  # noqa: ASYNC110  # nothing tells when the last program is gone
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "number"),
    [("echo $((1 + {}))", -4), ('echo "$(( ({}) * 2 ))"', -10), ("echo $(( $(echo {}) ))", -5)],
)
def test_a_shell_computes_with_numbers_only(text: str, number: int):
    """bash runs what stands in `a[$(…)]`."""
    before, after = text.split("{}")
    found = command_text([before, 0, after])
    assert found.shell_argv(["5"])[-1] == "5"
    computed = subprocess.run(found.shell_argv(["-5"]), capture_output=True, check=True).stdout
    assert int(computed) == number
    for value in ("a[$(touch hacked)]", "", "1;2", "x", "1\n2"):
        with pytest.raises(CommandError, match="is no number"):
            found.shell_argv([value])
    assert command_text(["echo $(echo ", 0, ")"]).shell_argv(["x"])[-1] == "x"
    assert command_text(["echo $((1)) ", 0]).shell_argv(["x"])[-1] == "x"


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\0\r"), max_size=8), min_size=1, max_size=4))
def test_quoted_words_come_back(words: list[str]):
    text = shlex.join(words)
    found = command_text([text])
    assert found.argv([]) == words and found.shell == text


@given(st.lists(st.one_of(st.text(st.sampled_from("ab '\"\\$`()|;#\n"), max_size=6), st.integers(0, 1)), max_size=6))
def test_any_command_is_read_or_refused(pieces: list[str | int]):
    try:
        found = command_text(pieces)
    except CommandError:
        return
    assert len(found.argv(["x", "y"])) == len(found.words)


@settings(max_examples=25)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
def test_no_value_is_changed_on_its_way_through_a_shell(value: str):
    argv = command_text(["printf %s a'", 0, "'\"", 0, '"', 0, " | cat"]).shell_argv([value])
    done = subprocess.run(argv, check=False, capture_output=True, timeout=10)
    assert done.stdout.decode() == "a" + value * 3


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


# -- calls in a script ---------------------------------------------------------------------------------------------


async def lines(body: str, parameters: str = "") -> list[str]:
    async with asyncio.timeout(20):
        return await printed("exec", body, parameters=parameters)


async def test_outputs_are_stored_as_they_were_written():
    body = r"""
    exec("echo hi; echo err >&2", , $var(o), $var(e)); xlog("$rc <$var(o)> <$var(e)>\n");
    exec("exit 3", , $var(o), $var(e)); xlog("$rc <$var(o)> <$var(e)>\n");
    exec("printf 'a\nb'", , $avp(o)); xlog("$rc <$avp(o)>\n");
    """
    assert await lines(body) == ["1 <hi", "> <err", ">", "1 <hi", "> <err", ">", "1 <a", "b>"]


async def test_input_and_environment_reach_the_program():
    body = r"""
    $avp(env) = "a"; $avp(env) = "b";
    exec("cat", "in put", $var(o)); xlog("$var(o)\n");
    exec("printf %s,%s $$OSIPS_EXEC_0 $$OSIPS_EXEC_1", , $var(o), , $avp(env)); xlog("$var(o)\n");
    """
    assert await lines(body) == ["in put", "b,a"]


async def test_values_are_data_and_a_command_in_a_variable_has_no_shell(tmp_path: Path):
    body = f"""
    $var(x) = "; touch {tmp_path}/hacked";
    exec("echo $var(x)", , $var(o)); xlog("$var(o)");
    exec("echo '$var(x)' | cat", , $var(o)); xlog("$var(o)");
    $var(cmd) = "echo 'a b' c"; exec($var(cmd), , $var(o)); xlog("$rc $var(o)");
    $var(cmd) = "echo a; touch {tmp_path}/hacked"; exec($var(cmd), , $var(o)); xlog("$rc\\n");
    exec("$var(cmd)", , $var(o)); xlog("$rc\\n");
    """
    assert await lines(body) == [*[f"; touch {tmp_path}/hacked"] * 2, "1 a b c", "-1", "-1"]
    assert files_in(tmp_path) == []


async def test_a_call_without_output_does_not_wait(tmp_path: Path):
    before = time.monotonic()
    assert await lines('exec("sleep 30"); xlog("$rc\n"); exec("/no/such/thing"); xlog("$rc\n");') == ["1", "1"]
    assert time.monotonic() - before < 10


async def test_what_cannot_be_started_is_an_error():
    body = '$var(c) = "/no/such/thing"; exec($var(c), , $var(o)); xlog("$rc\n"); exec(" ", , $var(o)); xlog("$rc\n");'
    assert await lines(body) == ["-1", "-1"]


async def test_a_program_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path):
    body = f'exec("(sleep 1.5; touch {tmp_path}/late) & sleep 30; echo x", , $var(o)); xlog("$rc <$var(o)>\n");'
    assert await lines(body, 'modparam("exec", "time_to_kill", 1)') == ["-1 <<null>>"]
    await asyncio.sleep(0.8)  # nothing can be awaited: the point is that nothing happens any more
    assert files_in(tmp_path) == []


async def test_a_program_that_closes_its_outputs_and_stays_leaves_its_place_in_time(monkeypatch: pytest.MonkeyPatch):
    """It is killed when it does not want to end, and room for others is there again."""
    monkeypatch.setattr("miscript.modules.exec.processes.GRACE_SECONDS", 0.1)
    async with running(IDLE, lambda text: None) as host:
        processes = Processes(host.services, 1.0)
        stays = "trap : TERM; exec >&- 2>&-; while :; do sleep 0.05; done"
        outputs = await processes.run(Job(["sh", "-c", stays], None, {}, None, True, False))
        assert (outputs.stdout, len(processes)) == (b"", 1)
        async with asyncio.timeout(5):
            while len(processes):  # noqa: ASYNC110  # nothing tells when the last program is gone
                await asyncio.sleep(0.02)


async def test_a_program_that_writes_without_end_is_ended():
    assert await lines('exec("yes", , $var(o)); xlog("$rc\n");') == ["-1"]


async def test_the_loop_goes_on_while_a_program_runs():
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.02)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await lines('exec("sleep 0.5", , $var(o));')
    ticking.cancel()
    assert ticks >= 10


async def test_async_calls_give_lines():
    body = r"""
    async(exec("printf 'x\ny\n'", , $avp(a)), r1);
    }
    route[r1] { xlog("$rc $(avp(a)[1]) $(avp(a)[0])\n"); async(exec("true"), r2); }
    route[r2] { xlog("$rc\n"); async(exec("cat", "in", $var(o)), r3); }
    route[r3] { xlog("$rc $var(o)\n");
    """
    assert await lines(body) == ["1 x y", "2", "1 in"]


async def test_a_command_whose_quotes_are_wrong_does_not_load():
    with pytest.raises(ScriptError):
        await lines('exec("echo \'x");')


def test_programs_are_told_of_the_message():
    text = (
        "INVITE sip:bob@x.com SIP/2.0\r\nv: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKb\r\nf: <sip:a@b>;tag=1\r\n"
        "To: <sip:bob@x.com>\r\nX-One: 1\r\nX-One: 2\r\ni: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    )
    message = Message.parse(text.encode())
    message.uri = "sip:carol@y.com"
    found = message_environment(message)
    assert {
        "SIP_HF_X_ONE": "1,2",
        "SIP_HF_CALL_ID": "c",
        "SIP_HF_FROM": "<sip:a@b>;tag=1",
        "SIP_TID": "z9hG4bKb",
        "SIP_DID": "",
        "SIP_ORURI": "sip:bob@x.com",
        "SIP_RURI": "sip:carol@y.com",
        "SIP_USER": "carol",
        "SIP_OUSER": "bob",
    }.items() <= found.items()
