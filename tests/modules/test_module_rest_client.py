"""Asking web services, with a real server on loopback."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates import Authority, needs_openssl
from miscript.errors import ConfigurationError
from miscript.modules.rest_client import RestClient
from miscript.modules.rest_client.escaping import escape, unescape
from miscript.modules.rest_client.transfers import checked_url
from miscript.values import encode
from module_services import module_services, new_run
from script_lines import printed
from web_server import web_server

SHOWN = 'xlog("$rc <$var(b)> <$var(c)> <$var(r)>\\n");'
START = '$var(b) = "b"; $var(c) = "c"; $var(r) = "r";'


def set_to(**parameters: int | str) -> str:
    return "".join(
        f'modparam("rest_client", "{name}", {value})\n'
        if isinstance(value, int)
        else f'modparam("rest_client", "{name}", "{value}")\n'
        for name, value in parameters.items()
    )


async def lines(body: str, **parameters: int | str) -> list[str]:
    async with asyncio.timeout(20):
        return await printed("rest_client", body, parameters=set_to(**parameters))


async def got(url: str, **parameters: int | str) -> str:
    """What `rest_get` of a URL returns and stores."""
    (line,) = await lines(f'{START} rest_get("{url}", $var(b), $var(c), $var(r)); {SHOWN}', **parameters)
    return line


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/ok", "1 <hello > <text/plain; charset=x> <200>"),
        ("/untyped", "1 <hello > <> <200>"),
        ("/empty", "1 <> <text/plain; charset=x> <200>"),
        ("/404", "1 <hello > <text/plain; charset=x> <404>"),
        ("/moved", "1 <hello > <text/plain; charset=x> <302>"),
    ],
)
async def test_an_answer_is_a_success_whatever_its_status(path: str, expected: str):
    async with web_server() as server:
        assert await got(server.url + path) == expected
        assert await got(f"127.0.0.1:{server.port}{path}") == expected  # http is understood
        asked = server.requests[0]
        assert asked.line == f"GET {path} HTTP/1.1"
        assert asked.headers == {"host": f"127.0.0.1:{server.port}", "accept": "*/*"}


async def test_nobody_there_is_minus_1():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        assert await got(f"http://127.0.0.1:{taken.getsockname()[1]}/") == "-1 <b> <c> <0>"


async def test_a_connection_that_is_never_made_is_minus_2():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(4):  # the queue is full: the next one is not answered
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            waiting.append(one)
        try:
            url = f"http://127.0.0.1:{full.getsockname()[1]}/"
            assert await got(url, connection_timeout=1, curl_timeout=5) == "-2 <b> <c> <0>"
        finally:
            for one in waiting:
                one.close()


async def test_an_answer_that_does_not_come_in_time_is_minus_3():
    async with web_server() as server:
        assert await got(f"{server.url}/silent", curl_timeout=1) == "-3 <b> <c> <0>"
        assert await got(f"{server.url}/stuck", curl_timeout=1) == "-3 <hello > <text/plain; charset=x> <200>"


async def test_all_else_is_minus_10():
    async with web_server() as server:
        assert await got(f"{server.url}/cut") == "-10 <hello > <text/plain; charset=x> <200>"
        assert await got(f"{server.url}/big", max_transfer_size=1) == "-10 <> <text/plain; charset=x> <200>"
        for url in (
            "file:///etc/hostname",
            "ftp://x/",
            "junk:/x",
            f"{server.url}/a b",
            "http://[",
            "http://a.invalid/",
        ):
            assert await got(url) == "-10 <b> <c> <0>"


async def test_a_name_that_is_not_known_is_minus_10(monkeypatch: pytest.MonkeyPatch):
    def unknown(*arguments: object, **more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert await got("http://a.example/") == "-10 <b> <c> <0>"


async def test_any_size_may_be_allowed():
    async with web_server() as server:
        assert (await got(f"{server.url}/big", max_transfer_size=0)).startswith("1 <xxx")


async def test_bodies_are_sent_with_their_type():
    async with web_server() as server:
        body = f"""
        rest_post("{server.url}/p", "a=b", , $var(b), $var(c), $var(r)); {SHOWN}
        rest_post("{server.url}/p", "{{}}", "application/json", $var(b)); {SHOWN}
        rest_put("{server.url}/p", "", , $var(b)); {SHOWN}
        """
        assert await lines(body) == [f"1 <hello {sent}> <text/plain; charset=x> <200>" for sent in ("a=b", "{}", "")]
        found = [(a.line.split()[0], a.body, a.headers["content-type"]) for a in server.requests]
        assert found == [
            ("POST", b"a=b", "application/x-www-form-urlencoded"),
            ("POST", b"{}", "application/json"),
            ("PUT", b"", "application/x-www-form-urlencoded"),
        ]
        assert server.connections == 1  # it is used again


async def test_header_fields_go_with_the_next_request_alone():
    async with web_server() as server:
        body = f"""
        rest_append_hf("X-A: 1"); xlog("$rc ");
        rest_append_hf("X-B: 2\r\n"); xlog("$rc ");
        rest_append_hf("junk"); xlog("$rc ");
        rest_append_hf("X-C: 3\r\nX-D: 4"); xlog("$rc ");
        rest_get("{server.url}/", $var(b)); rest_get("{server.url}/", $var(b));
        """
        assert await lines(body) == ["1 1 -1 -1 "]
        first, second = (asked.headers for asked in server.requests)
        assert (first["x-a"], first["x-b"]) == ("1", "2") and not {"x-c", "x-d"} & first.keys()
        assert not {"x-a", "x-b"} & second.keys()


async def test_cookies_are_not_kept():
    async with web_server() as server:
        await lines(f'rest_get("{server.url}/cookie", $var(b)); rest_get("{server.url}/", $var(b));')
        assert "cookie" not in server.requests[1].headers


async def test_large_bodies_ask_for_100_continue_when_the_script_wants_it():
    async with web_server() as server:
        body = f'$var(x) = "{"x" * 1025}"; rest_post("{server.url}/", $var(x), , $var(b));'
        await lines(body, enable_expect_100=1)
        assert server.requests[0].headers["expect"] == "100-continue"


async def test_asynchronous_calls_store_what_they_got_when_the_script_goes_on():
    async with web_server() as server:
        body = f"""
        {START} async(rest_get("{server.url}/ok", $var(b), $var(c), $var(r)), r1); }}
        route[r1] {{ {SHOWN} async(rest_post("{server.url}/p", "x", , $var(b), , $var(r)), r2); }}
        route[r2] {{ {SHOWN} async(rest_put("{server.url}/p", "y", "t/u", $var(b)), r3); }}
        route[r3] {{ {SHOWN} async(rest_get("junk:/", $var(b), , $var(r)), r4); }}
        route[r4] {{ {SHOWN}
        """
        assert await lines(body) == [
            "1 <hello > <text/plain; charset=x> <200>",
            "1 <hello x> <text/plain; charset=x> <200>",
            "1 <hello y> <text/plain; charset=x> <200>",
            "-10 <hello y> <text/plain; charset=x> <0>",
        ]


async def test_a_host_is_connected_to_by_one_call_at_a_time():
    async with web_server() as server, asyncio.timeout(10):
        module = rest_client(no_concurrent_connects=1)
        first = asyncio.ensure_future(ask(module, f"{server.url}/held"))
        await server.asked.wait()
        assert await ask(module, f"{server.url}/ok") == -4
        server.release.set()
        assert await first == 1 and await ask(module, f"{server.url}/ok") == 1
        await module.stop()


async def test_a_host_that_is_known_may_be_called_at_any_time():
    async with web_server() as server, asyncio.timeout(10):
        module = rest_client(no_concurrent_connects=1, curl_conn_lifetime=60)
        assert await ask(module, f"{server.url}/ok") == 1
        server.asked.clear()
        first = asyncio.ensure_future(ask(module, f"{server.url}/held"))
        await server.asked.wait()
        assert await ask(module, f"{server.url}/ok") == 1
        server.release.set()
        assert await first == 1
        await module.stop()


class RunningClock:
    """The clock of the loop."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def time(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        return asyncio.timeout(seconds)


def rest_client(**parameters: int | str) -> RestClient:
    module = RestClient(module_services(RunningClock()))
    for name, value in parameters.items():
        module.set_parameter(name, value)
    module.init()
    return module


async def ask(module: RestClient, url: str) -> int:
    from miscript.script.access import AvpAccess

    return await module.rest_get(new_run(), url, AvpAccess("body", None))


async def test_what_a_traced_message_asks_is_told(monkeypatch: pytest.MonkeyPatch):
    told: list[tuple[str, dict[str, str], tuple[str, int], tuple[str, int], str]] = []

    class Tracing:
        def wants(self, run: object, kind: str) -> bool:
            return kind == "rest"

        def tell(self, run, kind, fields, source, destination, *, transport="tcp", correlation=None) -> None:  # type: ignore[no-untyped-def]  # as RouteTracing
            told.append((kind, dict(fields), source, destination, transport))

    async with web_server() as server, asyncio.timeout(10):
        module = rest_client()
        module.services.provide("tracer", Tracing())
        await ask(module, f"{server.url}/ok")
        await ask(module, "junk:/x")
        await module.stop()
        there = ("127.0.0.1", server.port)
    (_, asked, local, peer, transport), (_, answered, back, to, _), (_, failed, *_), (_, why, *_) = told
    assert asked == {"first_line": f"GET {server.url}/ok"} and (peer, transport) == (there, "tcp")
    assert (answered["first_line"], answered["payload"]) == ("HTTP/1.1 200 OK", "hello ")
    assert "Content-Type: text/plain" in answered["headers"] or "content-type: text/plain" in answered["headers"]
    assert (back, to) == (peer, local) and local != ("127.0.0.1", 0)
    assert failed == {"first_line": "GET junk:/x"} and "expected a URL" in why["first_line"]


# -- TLS -----------------------------------------------------------------------------------------------------------


@needs_openssl()
async def test_certificates_are_checked_unless_the_script_says_otherwise(tmp_path: Path):
    authority = Authority(tmp_path)
    right, wrong = authority.issue("right", names="IP:127.0.0.1"), authority.issue("wrong", names="DNS:other")
    ok, bad = "1 <hello > <text/plain; charset=x> <200>", "-10 <b> <c> <0>"
    for issued, trusted, unchecked_name in ((right, ok, ok), (wrong, bad, ok)):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(issued.certificate, issued.key)
        async with web_server(context) as server:
            url, ca = f"{server.url}/ok", str(authority.ca)
            assert await got(url) == bad
            assert await got(url, ssl_capath=ca) == trusted
            assert await got(url, ssl_capath=ca, ssl_verifyhost=0) == unchecked_name
            assert await got(url, ssl_verifypeer=0) == ok


async def test_a_domain_that_is_not_there_is_minus_1():
    assert await lines('rest_init_client_tls("dom"); xlog("$rc\n");') == ["-1"]


# -- parts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"), [("curl_timeout", 0), ("connection_timeout", -1), ("max_transfer_size", -1),
                        ("curl_http_version", 6), ("max_async_transfers", 0), ("ssl_capath", "/dev/null")]
)  # fmt: skip
def test_parameters_that_make_no_sense_are_refused(name: str, value: int | str):
    if name == "ssl_capath":
        value = __file__
    with pytest.raises(ConfigurationError):
        rest_client(**{name: value})


def test_escaping_is_the_servers():
    assert escape("call@ex~._-ample.com& é/?+") == "call%40ex~._-ample.com%26%20%C3%A9%2F%3F%2B"
    assert unescape("1%2B1%3d2%21+x%zz%4") == "1+1=2!+x%zz%4"
    assert escape(None) is unescape(None) is None and escape(5) == "5"


@given(st.binary(max_size=40))
def test_what_is_escaped_comes_back(data: bytes):
    text = data.decode("utf-8", "surrogateescape")
    escaped = escape(text)
    assert isinstance(escaped, str) and escaped.isascii() and unescape(escaped) == text


@given(st.text(max_size=40))
def test_any_text_is_a_url_or_refused(text: str):
    try:
        url = checked_url(text)
    except ValueError:
        return
    assert url.isascii() and url.lower().startswith(("http://", "https://")) and b" " not in encode(url)
