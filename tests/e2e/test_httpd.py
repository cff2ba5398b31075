"""httpd, mi_http and prometheus: parameters, authentication, TLS, paths, policies, metrics."""

import asyncio
import base64
import hashlib
import json
import socket
import ssl
import subprocess
import warnings

import pytest
from prometheus_client.parser import text_string_to_metric_families

from door_host import SOON, HttpClient, begun, doors, request, result
from miscript.errors import ConfigurationError, ScriptError

pytestmark = pytest.mark.e2e
ECHO = request("echo", "x")


def parameter(name, value, module="httpd"):
    return f'modparam("{module}", "{name}", {value if isinstance(value, int) else f"{chr(34)}{value}{chr(34)}"})\n'


def basic(user, password):
    return f"Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}\r\n"


async def get(host, path, method="GET", head=""):
    client = await HttpClient(host).open()
    client.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n")
    answer = await client.response() if method != "HEAD" else await client.reader.readuntil(b"\r\n\r\n")
    client.close()
    return answer


async def post(host, text=ECHO, head="", path="/mi"):
    client = await HttpClient(host).open()
    client.send(text, head=head, path=path)
    answer = await client.response()
    client.close()
    return answer


# -- parameters ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (parameter("ip", "nonsense"), "nonsense"),
        (parameter("ip", "*"), "policy"),
        (parameter("ip", "192.0.2.1"), "policy"),
        (parameter("port", 70000), "70000"),
        (parameter("post_buf_size", 255), "255"),
        (parameter("receive_buf_size", 0), "receive_buf_size"),
        (parameter("conn_timeout", -1), "conn_timeout"),
        (parameter("auth_username", "a"), "auth_password"),
        (parameter("auth_password", "a"), "auth_username"),
        (parameter("auth_username", "") + parameter("auth_password", ""), "auth_username"),
        (parameter("auth_username", "a:b") + parameter("auth_password", "a"), "auth_username"),
        (parameter("tls_cert_file", "/dev/null"), "tls_key_file"),
        (parameter("tls_key_file", "/dev/null"), "tls_cert_file"),
        (parameter("tls_cert_file", "/nosuch") + parameter("tls_key_file", "/nosuch"), "/nosuch"),
        (parameter("tls_cert_file", "/dev/null") + parameter("tls_key_file", "/dev/null"), "tls_cert_file"),
        (
            parameter("tls_cert_file", "/dev/null")
            + parameter("tls_key_file", "/dev/null")
            + parameter("tls_ciphers", "NORMAL:-VERS-TLS1.3"),
            "GnuTLS",
        ),
        (
            parameter("tls_cert_file", "/dev/null")
            + parameter("tls_key_file", "/dev/null")
            + parameter("tls_ciphers", "nonsense"),
            "nonsense",
        ),
        (parameter("root", "a/b", "mi_http"), "a/b"),
        (parameter("root", " ", "mi_http"), "root"),
        ('loadmodule "prometheus.so"\n' + parameter("root", "mi", "prometheus"), "mi_http"),
        ('loadmodule "prometheus.so"\n' + parameter("group_mode", 3, "prometheus"), "group_mode"),
        ('loadmodule "prometheus.so"\n' + parameter("labels", "x", "prometheus"), "labels"),
        ('loadmodule "prometheus.so"\n' + parameter("labels", "g: /(/x/", "prometheus"), "labels"),
    ],
)
async def test_parameters_that_cannot_work_keep_the_host_from_starting(lines, names, tmp_path):
    with pytest.raises(ScriptError) as caught:
        async with doors(tmp_path, "mi_http", parameters=lines):
            pass
    (found,) = caught.value.diagnostics
    assert names in found.message


async def test_a_port_that_is_taken_is_named(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        port = host.services.find("httpd").address[1]
        with pytest.raises(ConfigurationError, match=str(port)):
            async with doors(tmp_path, "mi_http", parameters=parameter("port", port)):
                pass


async def test_all_addresses_are_listened_on_with_a_policy(tmp_path):
    lines = parameter("ip", "*") + parameter("policy", "open", "mi_http")
    async with doors(tmp_path, "mi_http", parameters=lines) as host:
        port = host.services.find("httpd").address[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_the_paths_of_modules_are_listed(tmp_path):
    lines = 'loadmodule "prometheus.so"\n' + parameter("root", " json ", "mi_http")
    async with doors(tmp_path, "mi_http", parameters=lines) as host:
        answer = await post(host, request("httpd_list_root_path"), path="/json")
        assert json.loads(answer[2])["result"] == [
            {"http_root": "json", "module": "mi_http"},
            {"http_root": "metrics", "module": "prometheus"},
        ]


async def test_requests_without_a_command_are_traced(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(SOON)
        lines = (
            'socket=hep_udp:127.0.0.1:0\nloadmodule "proto_hep.so"\n'
            + parameter("hep_id", f"[c]127.0.0.1:{collector.getsockname()[1]};transport=udp", "proto_hep")
            + parameter("trace_destination", "c", "mi_http")
        )
        async with doors(tmp_path, "mi_http", parameters=lines) as host:
            assert (await get(host, "/mi"))[0] == 405
            assert await status_and_body(host, "") == (400, b"")
            packets = [await asyncio.to_thread(collector.recv, 2000) for _ in range(4)]
    wanted = [b"unknown:json", b"405 Method Not Allowed", b"unknown:json", b"400 Bad Request"]
    assert [payload in packet for payload, packet in zip(wanted, packets, strict=True)] == [True] * 4


# -- answers -------------------------------------------------------------------------------------------------


async def test_an_answer_above_buf_size_is_an_empty_500(tmp_path):
    async with doors(tmp_path, "mi_http", parameters=parameter("buf_size", 1000)) as host:
        fits = 1000 - len(result(""))
        assert await status_and_body(host, request("big", fits)) == (200, result("y" * fits))
        assert await status_and_body(host, request("big", fits + 1)) == (500, b"")


async def status_and_body(host, text):
    status, _, body = await post(host, text)
    return status, body


async def test_answers_of_several_megabytes_arrive_whole(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        assert await status_and_body(host, request("big", 5_000_000)) == (200, result("y" * 5_000_000))


async def test_http_1_0_is_kept_alive_when_it_asks_for_it(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        client = await HttpClient(host).open()
        for wish, said in (("Connection: keep-alive\r\n", "keep-alive"), ("", "close")):
            client.write(
                f"POST /mi HTTP/1.0\r\nContent-Type: text/xml\r\n{wish}Content-Length: {len(ECHO)}\r\n\r\n{ECHO}"
            )
            _, fields, body = await client.response()
            assert (fields["connection"], body) == (said, result("x"))
        assert await client.rest() == b""


async def test_health_is_told_to_anyone_before_authentication(tmp_path):
    lines = parameter("healthz", "healthz") + parameter("auth_username", "a") + parameter("auth_password", "b")
    async with doors(tmp_path, "mi_http", parameters=lines) as host:
        assert (await get(host, "/healthz"))[::2] == (200, b"ok\n")
        assert (await get(host, "/healthz", "HEAD")).endswith(b"Content-Length: 3\r\n\r\n")
        assert (await get(host, "/healthz/x"))[0] == 401


async def test_a_stopping_host_closes_idle_connections_and_ends_in_time(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        idle, busy = await HttpClient(host).open(), await HttpClient(host).open()
        await idle.ask(ECHO)
        busy.send(request("slow"))
        await begun(host, 1)
        async with asyncio.timeout(SOON):
            await host.stop()
        assert b"the host is stopping" in await busy.rest()
        assert await idle.rest() == b""


# -- who may do what -----------------------------------------------------------------------------------------

POLICY = f"""
hosts = ["x"]
[roles.reader]
read_only = true
[roles.all]
commands = ["*"]
[[allow]]
role = "all"
token_sha256 = "{hashlib.sha256(b"the token").hexdigest()}"
[[allow]]
role = "reader"
user = "alice"
password_sha256 = "{hashlib.sha256(b"p:w").hexdigest()}"
"""


@pytest.mark.parametrize(
    ("head", "reads", "writes"),
    [
        ("", False, False),
        ("Authorization: Bearer the token\r\n", True, True),
        ("Authorization: bearer  the token \r\n", True, True),
        ("Authorization: Bearer the Token\r\n", False, False),
        ("Authorization: Bearer\r\n", False, False),
        (basic("alice", "p:w"), True, False),
        (basic("alice", "pw"), False, False),
        (basic("", ""), False, False),
        ("Authorization: Basic !!!\r\n", False, False),
        ("Authorization: Digest x\r\n", False, False),
    ],
)
async def test_a_policy_knows_tokens_and_logins(head, reads, writes, tmp_path):
    (tmp_path / "policy.toml").write_text(POLICY)
    lines = parameter("policy", tmp_path / "policy.toml", "mi_http")
    async with doors(tmp_path, "mi_http", parameters=lines) as host:
        status, _, body = await post(host, head=head)
        assert (status, b"result" in body, b"-32003" in body) == (200, reads, not reads)
        assert (b"result" in (await post(host, request("xlog_level", 3), head))[2]) is writes


async def test_credentials_may_change_within_one_connection(tmp_path):
    (tmp_path / "policy.toml").write_text(POLICY)
    lines = parameter("policy", tmp_path / "policy.toml", "mi_http")
    async with doors(tmp_path, "mi_http", parameters=lines) as host:
        client = await HttpClient(host).open()
        for head, wanted in (("Authorization: Bearer the token\r\n", True), ("", False)) * 20:
            client.send(ECHO, head=head)
            assert (b"result" in await client.answer()) is wanted
        client.close()


async def test_a_policy_is_read_again_and_holds_for_connections_that_are_open(tmp_path):
    """Also for what a login of such a connection was worth before."""
    file = tmp_path / "policy.toml"
    file.write_text(POLICY)
    token, alice = "Authorization: Bearer the token\r\n", basic("alice", "p:w")
    lines = parameter("policy", file, "mi_http")
    async with doors(tmp_path, "mi_http", parameters=lines) as host:
        client = await HttpClient(host).open()

        async def ask(text, head):
            client.send(text, head=head)
            return await client.answer()

        assert await ask(ECHO, alice) == result("x")
        assert await ask(ECHO, "") != result("x")
        file.write_text(POLICY.replace(hashlib.sha256(b"p:w").hexdigest(), hashlib.sha256(b"new").hexdigest()))
        assert await ask(ECHO, alice) == result("x")
        assert await ask(request("mi_http:policy_reload"), token) == result("OK")
        assert await ask(ECHO, alice) != result("x")
        assert await ask(ECHO, basic("alice", "new")) == result("x")
        client.close()


async def test_a_policy_with_a_mistake_leaves_the_old_one_in_force(tmp_path, caplog):
    file = tmp_path / "policy.toml"
    file.write_text(POLICY)
    lines = parameter("policy", file, "mi_http")
    async with doors(tmp_path, "mi_http", parameters=lines) as host:
        token = "Authorization: Bearer the token\r\n"
        for text in ("[[allow]]\nrole = 'nobody'\n", "=", None):
            file.unlink() if text is None else file.write_text(text)
            answer = json.loads((await post(host, request("policy_reload"), token))[2])
            assert answer["error"]["code"] == 500
            assert str(file) in answer["error"]["data"]
            caplog.clear()
            host.reread()
            assert "the policy that was read before stays in force" in caplog.text
            assert (await post(host, head=token))[2] == result("x")
            assert b"-32003" in (await post(host))[2]


async def test_a_door_without_a_policy_file_has_none_to_read_again(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        host.reread()
        assert b"this door has no policy file" in (await post(host, request("policy_reload")))[2]


async def test_a_host_that_is_not_ours_is_refused(tmp_path):
    (tmp_path / "policy.toml").write_text(POLICY)
    lines = parameter("policy", tmp_path / "policy.toml", "mi_http")
    async with doors(tmp_path, "mi_http", parameters=lines) as host:
        client = await HttpClient(host).open()
        head = "POST /mi HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        for field, status in (("Host: x:80\r\n", 200), ("Host: X\r\n", 200), ("Host: evil\r\n", 421), ("", 421)):
            client.write(head.format(field))
            assert (await client.response())[0] == status
        client.close()


async def test_basic_authentication_of_httpd_is_the_login_of_a_policy(tmp_path):
    (tmp_path / "policy.toml").write_text(
        '[roles.r]\ncommands = ["test:echo"]\n[[allow]]\nrole = "r"\nuser = "carol"\n'
    )
    lines = (
        parameter("policy", tmp_path / "policy.toml", "mi_http")
        + parameter("auth_username", "carol")
        + parameter("auth_password", "x")
    )
    async with doors(tmp_path, "mi_http", parameters=lines) as host:
        assert (await post(host, head=basic("carol", "x")))[2] == result("x")
        assert (await post(host, head=basic("carol", "y")))[0] == 401


async def test_every_call_leaves_a_line_in_the_audit(tmp_path):
    (tmp_path / "policy.toml").write_text(POLICY)
    audit = tmp_path / "audit.jsonl"
    lines = parameter("policy", tmp_path / "policy.toml", "mi_http") + parameter("audit", audit, "mi_http")
    async with doors(tmp_path, "mi_http", parameters=lines) as host:
        client = await HttpClient(host).open()
        for text, head in (
            (ECHO, "Authorization: Bearer the token\r\n"),
            (request("echo", params={"text": {"password": "hush"}}), basic("alice", "p:w")),
            (request("slow"), basic("alice", "p:w")),
            ("{", ""),
        ):
            client.send(text, head=head)
            await client.answer()
        client.close()
        await asyncio.sleep(0)
        lines = [json.loads(line) for line in audit.read_text().splitlines()]
        assert audit.stat().st_mode & 0o777 == 0o600
    assert [(line["identity"][:6], line["command"], line["outcome"]) for line in lines] == [
        ("token:", "test:echo", "ok"),
        ("alice", "test:echo", "ok"),
        ("alice", "test:wait", -32003),
        ("", "", -32700),
    ]
    assert lines[0]["parameters"] == {"text": "x"}
    assert "hush" not in json.dumps(lines)
    assert all(line["peer"].startswith("127.0.0.1:") for line in lines)


async def test_refusals_are_logged_without_an_audit(tmp_path, caplog):
    async with doors(tmp_path, "mi_http", parameters=parameter("policy", "read-only", "mi_http")) as host:
        await post(host, request("xlog_level", 3))
        await post(host)
    (refused,) = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert '"core:xlog_level"' in refused


# -- TLS -----------------------------------------------------------------------------------------------------


CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [*CERTIFICATE.split(), "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True,
        capture_output=True,
    )
    return folder


async def test_https_is_spoken_with_tls_1_2_and_newer(certificate, tmp_path):
    lines = parameter("tls_cert_file", certificate / "cert.pem") + parameter("tls_key_file", certificate / "key.pem")
    async with doors(tmp_path, "mi_http", parameters=lines) as host:
        address = host.services.find("httpd").address
        context = ssl.create_default_context(cafile=certificate / "cert.pem")
        client = HttpClient(host)
        client.reader, client.writer = await asyncio.open_connection(*address, ssl=context)
        assert await client.ask(ECHO) == result("x")
        client.write("GET /mi HTTP/1.1\r\nContent-Length: x\r\n\r\n")
        assert b" 400 " in await client.rest()
        old = ssl.create_default_context(cafile=certificate / "cert.pem")
        old.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(*address, ssl=old)


# -- Prometheus ----------------------------------------------------------------------------------------------


async def metrics(host, path="/metrics"):
    status, fields, body = await get(host, path)
    assert status == 200
    assert fields["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name.removesuffix("_total"), *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def prometheus(*lines):
    return 'loadmodule "prometheus.so"\n' + "".join(lines)


async def test_calls_are_counted_by_outcome_and_timed(tmp_path):
    async with doors(tmp_path, "mi_http", parameters=prometheus()) as host:
        await post(host)
        await post(host, request("echo"))
        await post(host, request("nosuch"))
        found = await metrics(host)
        command = ("command", "test:echo")
        assert found["opensips_mi_calls", command, ("outcome", "ok")] == 1
        assert found["opensips_mi_calls", command, ("outcome", "-32602")] == 1
        assert found["opensips_mi_refused", ("code", "-32601")] == 1
        assert found["opensips_mi_call_seconds_count", command] == 2
        assert (await post(host, path="/metrics"))[0] == 405


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ((parameter("statistics", "core:", "prometheus"),), ("opensips_rcv_requests",)),
        ((parameter("statistics", "rcv_requests nosuch", "prometheus"),), ("opensips_rcv_requests",)),
        ((parameter("statistics", "all", "prometheus"),), ("opensips_rcv_requests",)),
        (
            (
                parameter("statistics", "rcv_requests", "prometheus"),
                parameter("group_mode", 1, "prometheus"),
                parameter("prefix", "a-b", "prometheus"),
                parameter("group_prefix", "g", "prometheus"),
                parameter("delimiter", "-", "prometheus"),
            ),
            ("a_b_g_core_rcv_requests",),
        ),
        (
            (
                parameter("statistics", "rcv_requests", "prometheus"),
                parameter("group_mode", 2, "prometheus"),
                parameter("group_label", "grp", "prometheus"),
            ),
            ("opensips_rcv_requests", ("grp", "core")),
        ),
        (
            (
                parameter("statistics", "rcv_requests", "prometheus"),
                'modparam("prometheus", "labels", "other: /^(.*)$/no:x=\\"y\\"/")\n',
                'modparam("prometheus", "labels", "core: /^(.*)_(.*)$/\\\\1:kind=\\"\\\\2\\"/")\n',
            ),
            ("opensips_rcv", ("kind", "requests")),
        ),
    ],
)
async def test_statistics_are_named_as_the_parameters_say(lines, wanted, tmp_path):
    async with doors(tmp_path, "mi_http", parameters=prometheus(*lines)) as host:
        assert wanted in await metrics(host)


async def test_a_route_adds_metrics_of_the_script(tmp_path):
    route = """
    route[m] {
        prometheus_declare_stat("calls_seen", "counter", "a \\\\ help");
        prometheus_push_stat(3);
        prometheus_push_stat(10, "gateway", "gw\\"1");
        prometheus_push_stat(11, "{gateway=\\"gw2\\"}");
        return (1, '[{"header": "# TYPE x gauge", "values": [{"name": "x", "value": 3}]}]');
    }
    """
    lines = prometheus(parameter("script_route", "m", "prometheus"))
    async with doors(tmp_path, "mi_http", parameters=lines + route) as host:
        found = await metrics(host)
        assert found["calls_seen",] == 3
        assert found["calls_seen", ("gateway", 'gw"1')] == 10
        assert found["calls_seen", ("gateway", "gw2")] == 11
        assert found["x",] == 3


async def test_a_route_that_returns_nonsense_spoils_nothing(tmp_path):
    route = """
    route[m] { return (1, '[{"values": [{"name": "x", "value": "y\\nz 3"}]}]'); }
    """
    lines = prometheus(parameter("script_route", "m", "prometheus"), parameter("statistics", "core:", "prometheus"))
    async with doors(tmp_path, "mi_http", parameters=lines + route) as host:
        assert ("opensips_rcv_requests",) in await metrics(host)
