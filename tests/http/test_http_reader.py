"""The bytes of a connection as requests: framing, limits, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.http.head import MAX_FIELDS, MAX_HEAD, MAX_TARGET, Head, Problem, parse_head
from miscript.http.reader import (
    MAX_CHUNK_LINE,
    MAX_KNOWN_HEAD,
    MAX_KNOWN_HEADS,
    MAX_TRAILERS,
    Heads,
    Message,
    RequestReader,
)
from miscript.http.response import CLOSES, HTML, JSON, Responses

LIMIT = 1000


def post(body=b"{}", *fields, length=True, path="/mi"):
    lines = [f"POST {path} HTTP/1.1", "Host: x", *fields]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(*chunks, trailers=""):
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return post(body + b"0\r\n" + trailers.encode() + b"\r\n", "Transfer-Encoding: chunked", length=False)


def read_all(reader, *pieces):
    """Every request and the first problem, as the bytes come."""
    found = []
    for piece in pieces:
        reader.feed(piece)
        while (message := reader.next()) is not None:
            found.append(message)
            if isinstance(message, Problem):
                return found
    return found


def read(*pieces, limit=LIMIT):
    return read_all(RequestReader(limit), *pieces)


def status(data):
    """The status that the bytes are refused with, None if they are not."""
    found = read(data)
    return found[-1].status if found and isinstance(found[-1], Problem) else None


# -- whole requests ------------------------------------------------------------------------------------------


def test_a_request_has_method_path_query_fields_and_body():
    (message,) = read(post(b"{}", "X-Y:  a b ", "x-y: c", path="/m%69/a%20b?q=%31"))
    assert message.body == b"{}"
    head = message.head
    assert (head.method, head.path, head.query) == ("POST", "/mi/a b", "q=%31")
    assert head.get(b"x-y") == b"a b, c"
    assert head.keep_alive


STREAM = post(b"one") + chunked(b"t", b"wo") + b"\r\n" + post(b"") + chunked(trailers="X: y\r\n") + post(b"one") * 2
BODIES = [b"one", b"two", b"", b"", b"one", b"one"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=10))
def test_requests_are_the_same_however_the_bytes_arrive(places):
    edges = [0, *sorted(places), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in zip(edges, edges[1:], strict=False)]  # noqa: RUF007  # reads better
    assert [message.body for message in read(*pieces)] == BODIES


def test_requests_are_the_same_byte_by_byte():
    assert [message.body for message in read(*(bytes([byte]) for byte in STREAM))] == BODIES


def test_a_head_that_comes_again_is_not_read_again():
    first, second, third = read(post(b"aa") + post(b"bb") + post(b"ccc"))
    assert first.head is second.head
    assert first.head is not third.head


def test_a_request_with_a_known_head_is_taken_at_once():
    heads = Heads()
    assert RequestReader(LIMIT, heads).whole(post(b"a")) is None
    read_all(RequestReader(LIMIT, heads), post(b"a"))
    read_all(RequestReader(LIMIT, heads), post(b"bb"))
    reader = RequestReader(LIMIT, heads)
    assert [reader.whole(post(body)) for body in (b"b", b"cc", b"d")] == [b"b", b"cc", b"d"]
    for other in (post(b"bbb"), post(b"b") + b"P", post(b"b")[:-1], post(b"b", "X: y"), b"\r\n" + post(b"b"), b""):
        assert reader.whole(other) is None
    reader.feed(b"P")
    assert reader.whole(post(b"b")) is None


def test_a_body_above_the_limit_is_not_taken_at_once():
    heads = Heads()
    read_all(RequestReader(LIMIT, heads), post(b"abc"))
    assert RequestReader(2, heads).whole(post(b"abc")) is None


def test_known_heads_are_bounded():
    heads = Heads()
    for number in range(MAX_KNOWN_HEADS + 1):
        heads.read(post(b"", f"X: {number}"))
    heads.read(post(b"", "X: " + "y" * MAX_KNOWN_HEAD))
    assert heads.find(post(b"", f"X: {MAX_KNOWN_HEADS}")) is not None
    assert heads.find(post(b"", "X: 0")) is None
    assert heads.find(post(b"", "X: " + "y" * MAX_KNOWN_HEAD)) is None


def test_what_is_held_is_known_and_can_be_dropped():
    reader = RequestReader(LIMIT)
    assert reader.held == 0
    read_all(reader, post(b"0123456789")[:-3])
    assert reader.held == 7
    reader.drop()
    assert reader.held == 0


@given(st.binary(max_size=300) | st.text(st.sampled_from("POST / HTTP/1.1\r\n:a0x,;")).map(str.encode))
def test_any_bytes_give_requests_or_a_problem(data):
    for message in read(data, data):
        assert isinstance(message, Message | Problem)


@given(st.binary(max_size=100))
def test_any_bytes_in_the_place_of_chunks_give_a_request_or_a_problem(data):
    head = post(b"", "Transfer-Encoding: chunked", length=False)
    for message in read(head + data):
        assert isinstance(message, Message | Problem)


@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [
        ("1.1", None, True),
        ("1.1", "close", False),
        ("1.1", "foo, Close", False),
        ("1.0", None, False),
        ("1.0", "Keep-Alive", True),
    ],
)
def test_the_client_says_whether_the_connection_stays(version, connection, stays):
    field = f"Connection: {connection}\r\n" if connection else ""
    head = parse_head(f"GET / HTTP/{version}\r\n{field}\r\n".encode())
    assert isinstance(head, Head)
    assert head.keep_alive is stays


def test_an_upgrade_is_an_ordinary_request():
    (message,) = read(post(b"{}", "Connection: Upgrade", "Upgrade: websocket"))
    assert message.body == b"{}"


# -- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        post(b"a", "Content-Length: 1"),
        post(b"a", "Content-Length: 2"),
        post(b"a", "Transfer-Encoding: chunked"),
        post(b"a", "Transfer-Encoding : chunked"),
        post(b"a", "transfer-encoding: identity"),
        post(b"a", "Content-Length : 1", length=False),
        post(b"a", "Content-Length: +1", length=False),
        post(b"a", "Content-Length: -1", length=False),
        post(b"a", "Content-Length: 1, 1", length=False),
        post(b"a", "Content-Length: 0x1", length=False),
        post(b"a", "Content-Length: 1_0", length=False),
        post(b"a", "Content-Length: \xb2", length=False),
        post(b"a", "Content-Length:", length=False),
        post(b"a", "Content-Length: " + "1" * 30, length=False),
        post(b"a", "Host: y"),
        post(b"a", "X: y\r\n folded"),
        post(b"a", "X: y\r\n\tfolded"),
        post(b"a", "X: y\nContent-Length: 0"),
        post(b"a", "X: y\rContent-Length: 0"),
        post(b"a", "X: \0"),
        post(b"a", "no colon"),
        post(b"a", ": no name"),
        post(b"a", "X[]: y"),
        post(b"a", path="/mi#x"),
        post(b"a", path="/mi%00"),
        b"GET /mi\r\n\r\n",
        post(b"", "Transfer-Encoding: chunked", length=False).replace(b"1.1", b"1.0"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(data):
    assert status(data) == 400


@pytest.mark.parametrize(
    "coding", ["gzip, chunked", "chunked, chunked", "chunked, identity", "xchunked", "identity", '"chunked"']
)
def test_other_codings_than_chunked_are_refused(coding):
    assert status(post(b"0\r\n\r\n", f"Transfer-Encoding: {coding}", length=False)) in (400, 501)


CHUNKED_HEAD = post(b"", "Transfer-Encoding: chunked", length=False)


@pytest.mark.parametrize(
    "body",
    [
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b"1_0\r\n",
        b" 1\r\n",
        b"\r\n",
        b"1\n",
        b"1\r\naX",
        b"1\r\naX\r\n",
        b"1\r\na\n0\n\n",
        b"123456789\r\n",
        b"1;\x00\r\n",
        b"1 x\r\n",
        b"1" * MAX_CHUNK_LINE,
        b"1;" + b"x" * MAX_CHUNK_LINE,
    ],
)
def test_bad_chunks_are_refused(body):
    assert status(CHUNKED_HEAD + body) == 400


def test_chunk_extensions_are_passed_over():
    assert read(CHUNKED_HEAD + b"1 ;a=b\r\nx\r\n0;c\r\n\r\n")[0].body == b"x"


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"\0",
        b"\xff",
        b"G(T / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_no_answer(data):
    assert status(data) == 0


@pytest.mark.parametrize("target", [b"", b" /mi", b"/mi ", b"/m i", b"/mi\t", b"/mi#x", b"/mi%00", b"/mi /x HTTP/1.0"])
def test_a_target_that_cannot_be_is_told_in_the_servers_words(target):
    (problem,) = read(b"GET %b HTTP/1.1\r\n\r\n" % target)
    assert (problem.status, problem.reason) == (400, "Unable to parse URL!")


def test_a_head_whose_lines_end_with_lf_alone_is_refused_at_once():
    assert status(b"POST /mi HTTP/1.1\nHost: x\n\n") == 400
    reader = RequestReader(100)
    for byte in b"GET / HTTP/1.1\nHost: x\n":
        reader.feed(bytes([byte]))
        assert reader.next() is None
    reader.feed(b"\n")
    assert reader.next().status == 400


def test_other_versions_are_refused():
    assert status(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 505


# -- limits --------------------------------------------------------------------------------------------------


def test_limits_of_the_head():
    assert status(post(b"", "X: " + "y" * MAX_HEAD)) == 431
    assert status(b"GET / HTTP/1.1\r\nX: " + b"y" * MAX_HEAD) == 431
    assert status(post(b"", *["X: y"] * MAX_FIELDS)) == 431
    assert status(post(b"", path="/" + "y" * MAX_TARGET)) == 414
    assert status(post(b"", *["X: y"] * (MAX_FIELDS - 2))) is None


def test_the_limit_of_the_body_is_known_before_it_comes():
    assert status(post(b"a" * LIMIT)) is None
    head = post(b"a" * (LIMIT + 1)).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert status(head) == 413
    assert status(CHUNKED_HEAD + b"%x\r\n" % (LIMIT + 1)) == 413
    assert status(CHUNKED_HEAD + (b"1f4\r\n" + b"a" * 500 + b"\r\n") * 2) is None
    assert status(CHUNKED_HEAD + (b"1f4\r\n" + b"a" * 500 + b"\r\n") * 2 + b"1\r\n") == 413


def test_the_limit_of_trailers():
    assert status(CHUNKED_HEAD + b"0\r\nX: " + b"y" * MAX_TRAILERS) == 431


# -- answers -------------------------------------------------------------------------------------------------


def test_an_answer_has_a_length_and_an_end():
    head, _, body = Responses().make(200, JSON, b"{}").partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert lines[1].startswith(b"Date: ")
    assert lines[2:] == [b"Content-Type: application/json", b"Content-Length: 2"]
    assert body == b"{}"


def test_an_answer_to_head_has_no_body():
    assert Responses().make(406, HTML, b"x" * 2000, without_body=True).endswith(b"Content-Length: 2000\r\n\r\n")


def test_an_answer_may_close_the_connection():
    assert b"\r\nConnection: close\r\n" in Responses().make(400, b"", b"", CLOSES)
