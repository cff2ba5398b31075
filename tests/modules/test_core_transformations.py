"""The transformations of the core give what the reference server gives, and are right where it is not."""

import asyncio
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.catalog import facts
from miscript.modules.core.transformations import RESOLVERS, TRANSFORMATIONS
from miscript.values import NumberWithText, Value, encode, text_of


def apply(value: Value, name: str, *arguments: Value) -> Value:
    """`$(value{name,arguments})`, with constant arguments and with evaluated ones."""
    class_name, _, short = name.partition(".")
    signature = TRANSFORMATIONS[class_name, short]
    assert signature.function is not None
    assert signature.minimum <= len(arguments) <= len(signature.kinds)
    found = signature.function(value, *arguments)
    if signature.prepare is not None:
        assert signature.prepare(*arguments)(value) == found
    assert found is None or isinstance(found, int | str)
    return found


def shown(value: Value, *steps: tuple[Value, ...] | str) -> str:
    """What `xlog` prints for a chain of transformations."""
    for step in steps:
        name, *arguments = (step,) if isinstance(step, str) else step
        assert isinstance(name, str)
        value = apply(value, name, *arguments)
    return text_of(value)


def test_every_transformation_of_the_facts_is_there_with_its_arguments() -> None:
    known = {(c, n): fact for c, names in facts()["core"]["transformations"].items() for n, fact in names.items()}
    assert set(known) == set(TRANSFORMATIONS) | set(RESOLVERS) | {("s", "eval")}
    for key, signature in TRANSFORMATIONS.items():
        assert [signature.minimum, len(signature.kinds)] == known[key]["args"], key
        kinds = ["string" if kind == "word" else kind for kind in signature.kinds]  # a word is a string that ends early
        assert kinds == known[key].get("kinds", []), key
        assert signature.help, key


@pytest.mark.parametrize("key", sorted(TRANSFORMATIONS))
def test_null_stays_null(key: tuple[str, str]) -> None:
    samples: dict[str, Value] = {"integer": 1, "char": ",", "string": "/a/b/", "word": "b"}
    arguments = [samples[kind] for kind in TRANSFORMATIONS[key].kinds]
    assert apply(None, ".".join(key), *arguments) is None


@pytest.mark.parametrize("key", sorted(key for key, found in TRANSFORMATIONS.items() if "integer" in found.kinds))
def test_a_text_where_a_number_is_needed_gives_null(key: tuple[str, str]) -> None:
    assert apply("a,b", ".".join(key), *("1" for _ in TRANSFORMATIONS[key].kinds)) is None


def test_a_null_argument_gives_null() -> None:
    assert apply("abc", "s.substr", None, 1) is None
    assert apply("abc", "s.xor", None) is None
    assert apply("a=1", "param.value", None) is None


# -- recorded: text ---------------------------------------------------------------------------------------------

TEXT = [
    ("hello", "5", ["s.len"]),
    ("", "0", ["s.len"]),
    (-120, "4", ["s.len"]),
    ("é", "2", ["s.len"]),
    ("Hello World 123", "hello world 123", ["s.tolower"]),
    ("Hello World 123", "HELLO WORLD 123", ["s.toupper"]),
    ("Hello World 123", "321 dlroW olleH", ["s.reverse"]),
    (120, "021", ["s.reverse"]),
    ("é", "a9c3", ["s.reverse", "s.encode.hexa"]),
    ("éa", "éA", ["s.toupper"]),
    ("abcdefgh", "abc", [("s.substr", 0, 3)]),
    ("abcdefgh", "cde", [("s.substr", 2, 3)]),
    ("abcdefgh", "cdefgh", [("s.substr", 2, 0)]),
    ("abcdefgh", "fgh", [("s.substr", -3, 0)]),
    ("abcdefgh", "fg", [("s.substr", -3, 2)]),
    ("abcdefgh", "bcdef", [("s.substr", 1, -2)]),
    ("abcdefgh", "fgh", [("s.substr", 5, 100)]),
    ("abcdefgh", "<null>", [("s.substr", 8, 1)]),
    ("abcdefgh", "<null>", [("s.substr", -9, 1)]),
    ("abcdefgh", "a", [("s.substr", -8, 1)]),
    (123456, "23", [("s.substr", 1, 2)]),
    ("é", "a9", [("s.substr", 1, 1), "s.encode.hexa"]),
    ("", "<null>", [("s.substr", 0, 0)]),
    ("a,b,,d", "a", [("s.select", 0, ",")]),
    ("a,b,,d", "", [("s.select", 2, ",")]),
    ("a,b,,d", "d", [("s.select", 3, ",")]),
    ("a,b,,d", "<null>", [("s.select", 4, ",")]),
    ("a,b,,d", "a", [("s.select", -4, ",")]),
    ("a,b,,d", "<null>", [("s.select", -5, ",")]),
    ("1.2.3", "1.2.3", [("s.select", 0, "@")]),
    ("1.2.3", "<null>", [("s.select", 1, "@")]),
    ("one two", "two", [("s.select", 1, " ")]),
    (1020, "2", [("s.select", 1, "0")]),
    ("one two one two", "4", [("s.index", "two")]),
    ("one two one two", "12", [("s.index", "two", 5)]),
    ("one two one two", "<null>", [("s.index", "none")]),
    ("one two one two", "14", [("s.index", "o", -3)]),
    ("one two one two", "<null>", [("s.index", "one two one two!")]),
    ("one two one two", "<null>", [("s.index", "o", 100)]),
    ("one two one two", "<null>", [("s.index", "TWO")]),
    ("one two one two", "8", [("s.index", "one", 1)]),
    (12345, "2", [("s.index", "34")]),
    ("one two one two", "12", [("s.rindex", "two")]),
    ("one two one two", "4", [("s.rindex", "two", 11)]),
    ("one two one two", "8", [("s.rindex", "one", -5)]),
    ("one two one two", "<null>", [("s.rindex", "none")]),
    ("one two", "6", [("s.index", "o", -8)]),
    ("one two", "0", [("s.rindex", "one", 0)]),
    ("one two", "<null>", [("s.rindex", "two", 3)]),
    ("one two", "6", [("s.rindex", "o", 100)]),
    (42, "00042", [("s.fill.left", "0", 5)]),
    (42, "42000", [("s.fill.right", "0", 5)]),
    ("abc", "yxyxyabc", [("s.fill.left", "xy", 8)]),
    ("abc", "abcxyxyx", [("s.fill.right", "xy", 8)]),
    ("abc", "abc", [("s.fill.left", "-", 2)]),
    ("abc", "   abc", [("s.fill.left", "' '", 6)]),
    ("abc", "<null>", [("s.fill.left", "", 6)]),
    ("", "...", [("s.fill.left", ".", 3)]),
    ("abc", "abc   ", [("s.width", 6)]),
    ("abc", "ab", [("s.width", 2)]),
    ("abc", "<null>", [("s.width", 0)]),
    ("abc", "<null>", [("s.width", 1 << 30)]),
    ("abc", "<null>", [("s.fill.right", "x", 1 << 30)]),
    ("é", "c3", [("s.width", 1), "s.encode.hexa"]),
    (42, "42  ", [("s.width", 4)]),
    ("", "   ", [("s.width", 3)]),
    ("  \t mid dle \r\n ", "mid dle", ["s.trim"]),
    ("  \t mid dle \r\n ", "11", ["s.triml", "s.len"]),
    ("  \t mid dle \r\n ", "11", ["s.trimr", "s.len"]),
    ("   ", "", ["s.trim"]),
    ("  Alpha,Beta;Gamma  ", "beta;gamma", ["s.trim", ("s.select", 1, ","), "s.tolower"]),
    ("Thu, 01 Jan 1970 00:00:10 GMT", "10", ["s.date2unix"]),
    ("Sat, 13 Nov 2010 23:29:00 GMT", "1289690940", ["s.date2unix"]),
    ("Thu, 31 Feb 2020 00:00:10 GMT", "1583107210", ["s.date2unix"]),
    ("Thu,  1 JAN 1970 1:2:3 GMT", "3723", ["s.date2unix"]),
    ("yesterday", "<null>", ["s.date2unix"]),
    ("Thu, 01 Jan 1970 25:00:10 GMT", "<null>", ["s.date2unix"]),
    ("Thu, 01 Jan 1970 00:00:10 UTC", "<null>", ["s.date2unix"]),
    ("Thu, 01 Jan 0000 00:00:10 GMT", "<null>", ["s.date2unix"]),
]


@pytest.mark.parametrize(("value", "printed", "steps"), TEXT)
def test_text(value: Value, printed: str, steps: list[tuple[Value, ...] | str]) -> None:
    assert shown(value, *steps) == printed


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12), ("007", 7), ("42abc", 42), ("abc", 0), ("", 0), ("+5", 5), (" 42", 0), ("3.9", 3), ("-7", -7),
        ("99999999999", 1215752191), ("2147483648", -2147483648), ("0x10", 0), ("-", 0), ("9" * 5000, -1),
    ],
)  # fmt: skip
def test_an_integer_keeps_its_text(text: str, number: int) -> None:
    found = apply(text, "s.int")
    assert isinstance(found, NumberWithText)
    assert found == number
    assert text_of(found) == text


def test_an_integer_stays_one() -> None:
    assert apply(5, "s.int") == 5
    assert apply(5, "s.trim") == 5
    assert apply(NumberWithText(42, " 42"), "s.trim") == "42"


# -- recorded: encodings ----------------------------------------------------------------------------------------

ENCODING = [
    ("abc", "YWJj", ["s.b64encode"]),
    ("user:pass?>~", "dXNlcjpwYXNzPz5+", ["s.b64encode"]),
    (12, "MTI=", ["s.b64encode"]),
    ("dXNlcjpwYXNz", "user:pass", ["s.b64decode"]),
    ("YWI=", "ab", ["s.b64decode"]),
    ("YWI", "ab", ["s.b64decode"]),
    ("YW\r\nJj", "abc", ["s.b64decode"]),
    ("Az09 ~", "417a3039207e", ["s.encode.hexa"]),
    ("48656c6C6f", "Hello", ["s.decode.hexa"]),
    ("4", "", ["s.decode.hexa"]),
    ("zz", "<null>", ["s.decode.hexa"]),
    ("41 4", "<null>", ["s.decode.hexa"]),
    ("414", "A", ["s.decode.hexa"]),
    (255, "ff", ["s.dec2hex"]),
    ("4096", "1000", ["s.dec2hex"]),
    (-1, "ffffffff", ["s.dec2hex"]),
    (0, "0", ["s.dec2hex"]),
    ("abc", "<null>", ["s.dec2hex"]),
    ("12abc", "<null>", ["s.dec2hex"]),
    ("ff", "255", ["s.hex2dec"]),
    ("FF", "255", ["s.hex2dec"]),
    ("0x1f", "<null>", ["s.hex2dec"]),
    ("xyz", "<null>", ["s.hex2dec"]),
    ("7fffffff", "2147483647", ["s.hex2dec"]),
    ("80000000", "2147483648", ["s.hex2dec"]),
    ("", "0", ["s.hex2dec"]),
    ("hello", "030e070704", [("s.xor", "k"), "s.encode.hexa"]),
    ("hello", "030015070a", [("s.xor", "key"), "s.encode.hexa"]),
    ("hello", "hello", [("s.xor", "secret"), ("s.xor", "secret")]),
    (77, "5655", [("s.xor", "ab"), "s.encode.hexa"]),
    ("abc,def", "3449679081", ["s.crc32"]),
    ("", "4294967295", ["s.crc32"]),
    ("abc", "900150983cd24fb0d6963f7d28e17f72", ["s.md5"]),
    ("", "d41d8cd98f00b204e9800998ecf8427e", ["s.md5"]),
    (123, "202cb962ac59075b964b07152d234b70", ["s.md5"]),
    ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d", ["s.sha1"]),
    ("abc", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7", ["s.sha224"]),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", ["s.sha256"]),
    ("abc", "96", ["s.sha384", "s.len"]),
    ("abc", "128", ["s.sha512", "s.len"]),
    ("abc", "694abd10842d161ddbc54df8a0d57cf64d0dbcc9", [("s.sha1_hmac", "secret")]),
    ("abc", "9c196e32dc0175f86f4b1cb89289d6619de6bee699e4c378e68309ed97a1a6ab", [("s.sha256_hmac", "key")]),
    ("abc", "9b4a918f398d74d3e367970aba3cbe54e4d2b5d9", [("s.sha1_hmac", "")]),
    ("a'b\"c\\d", "a\\'b\\\"c\\\\d", ["s.escape.common"]),
    ("a\\nb\\'c", "a\\nb'c", ["s.unescape.common"]),
    ("a b@c:d/e%f&g", "a%20b%40c%3ad/e%25f&g", ["s.escape.user"]),
    ("a b@c:d/e%f&g", "a%20b%40c:d/e%25f&g", ["s.escape.param"]),
    ("plain-_.!~*()'text", "plain-_.!~*()'text", ["s.escape.user"]),
    ("plain-_.!~*()'text", "plain-_.!~*()'text", ["s.escape.param"]),
    ("x;y=z?&$+,[]", "x;y=z?&$+,%5b%5d", ["s.escape.user"]),
    ("x;y=z?&$+,[]", "x%3by%3dz%3f&$+%2c[]", ["s.escape.param"]),
    ("é", "<null>", ["s.escape.user"]),
    ("%41%62c", "Abc", ["s.unescape.user"]),
    ("50%", "<null>", ["s.unescape.user"]),
    ("a%2", "<null>", ["s.unescape.param"]),
    ("%zz", "<null>", ["s.unescape.user"]),
    ("%00", "<null>", ["s.unescape.param"]),
    ("%7f", "<null>", ["s.unescape.param"]),
    ("a\nbé", "a\nbé", ["s.unescape.param"]),
]


@pytest.mark.parametrize(("value", "printed", "steps"), ENCODING)
def test_encodings(value: Value, printed: str, steps: list[tuple[Value, ...] | str]) -> None:
    assert shown(value, *steps) == printed


def test_hexadecimal_numbers_compute_in_32_bits() -> None:
    assert apply("ffffffff", "s.hex2dec") == -1
    assert apply("10", "s.hex2dec") == 16


# -- recorded: parts of SIP -------------------------------------------------------------------------------------

URI_PARAMS = "transport=tls;lr;ttl=3;maddr=1.2.3.4;method=INVITE;user=phone;x=y;flag"
URI = f"sips:alice:pw@example.com:5070;{URI_PARAMS}?Subject=hi&P=u"
ADDRESS = '"Alice A" <sip:alice@example.com:5060;transport=tcp>;tag=77;x'
VIA = "SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bK1;received=1.2.3.4;rport=999;foo=bar"
PARAMS = 'a=1;b=two;c;d="quoted;x";e=5'
CSV = 'one,two,three,,"a,b"'
RECORD = '"a,b","c\r\nd",e\r\n'

SIP = [
    (URI, "alice", ["uri.user"]),
    (URI, "example.com", ["uri.host"]),
    (URI, "example.com", ["uri.domain"]),
    (URI, "pw", ["uri.passwd"]),
    (URI, "5070", ["uri.port"]),
    (URI, URI_PARAMS, ["uri.params"]),
    (URI, "y", [("uri.param", "x")]),
    (URI, "", [("uri.param", "flag")]),
    (URI, "<null>", [("uri.param", "nope")]),
    (URI, "Subject=hi&P=u", ["uri.headers"]),
    (URI, "tls", ["uri.transport"]),
    (URI, "3", ["uri.ttl"]),
    (URI, "phone", ["uri.uparam"]),
    (URI, "1.2.3.4", ["uri.maddr"]),
    (URI, "INVITE", ["uri.method"]),
    (URI, "<null>", ["uri.lr"]),
    ("sip:a@h;lr=on;r2=on", "on", ["uri.lr"]),
    ("sip:a@h;lr=on;r2=on", "on", ["uri.r2"]),
    (URI, "sips", ["uri.schema"]),
    ("sip:example.com", "<null>", ["uri.user"]),
    ("sip:example.com", "<null>", ["uri.port"]),
    ("sip:example.com", "<null>", ["uri.params"]),
    ("not a uri", "<null>", ["uri.host"]),
    ("tel:+1234", "+1234", ["uri.user"]),
    ("tel:+1234", "<null>", ["uri.host"]),
    ("urn:service:sos", "sos", ["uri.host"]),
    ("urn:service:sos", "urn", ["uri.schema"]),
    ("sip:bob@[2001:db8::1]:5080", "[2001:db8::1]", ["uri.host"]),
    ("SIP:Alice@EX.com:05060", "05060", ["uri.port"]),
    ("sip:u:@h", "<null>", ["uri.passwd"]),
    (12345, "<null>", ["uri.user"]),
    (ADDRESS, '"Alice A"', ["nameaddr.name"]),
    (ADDRESS, "sip:alice@example.com:5060;transport=tcp", ["nameaddr.uri"]),
    (ADDRESS, "52", ["nameaddr.len"]),
    (ADDRESS, "77", [("nameaddr.param", "tag")]),
    (ADDRESS, "<null>", [("nameaddr.param", "nope")]),
    (ADDRESS, "tag=77;x", ["nameaddr.params"]),
    ("Bob <sip:bob@host>", "Bob", ["nameaddr.name"]),
    ("sip:carol@host", "<null>", ["nameaddr.name"]),
    ("sip:carol@host", "sip:carol@host", ["nameaddr.uri"]),
    ("<sip:dave@host>;tag=1", "1", [("nameaddr.param", "TAG")]),
    ("<sip:a@b>, <sip:c@d>;tag=2", "sip:a@b", ["nameaddr.uri"]),
    (ADDRESS, "example.com", ["nameaddr.uri", "uri.host"]),
    (VIA, "SIP", ["via.name"]),
    (VIA, "2.0", ["via.version"]),
    (VIA, "UDP", ["via.transport"]),
    (VIA, "10.0.0.1", ["via.host"]),
    (VIA, "10.0.0.1", ["via.domain"]),
    (VIA, "5062", ["via.port"]),
    (VIA, "z9hG4bK1", ["via.branch"]),
    (VIA, "1.2.3.4", ["via.received"]),
    (VIA, "999", ["via.rport"]),
    (VIA, "branch=z9hG4bK1;received=1.2.3.4;rport=999;foo=bar", ["via.params"]),
    (VIA, "bar", [("via.param", "foo")]),
    (VIA, "<null>", [("via.param", "none")]),
    ("SIP/2.0/TCP host.example", "<null>", ["via.port"]),
    ("SIP/2.0/TCP host.example", "<null>", ["via.branch"]),
    ("SIP/2.0/TCP a;rport (why)", "why", ["via.comment"]),
    ("SIP/2.0/TCP a;rport, SIP/2.0/UDP b", "TCP", ["via.transport"]),
    (PARAMS, "1", [("param.value", "a")]),
    (PARAMS, "", [("param.value", "c")]),
    (PARAMS, "quoted;x", [("param.value", "d")]),
    (PARAMS, "<null>", [("param.value", "none")]),
    (PARAMS, "two", [("param.valueat", 1)]),
    (PARAMS, "5", [("param.valueat", -1)]),
    (PARAMS, "<null>", [("param.valueat", 9)]),
    (PARAMS, "b", [("param.name", 1)]),
    (PARAMS, "e", [("param.name", -1)]),
    (PARAMS, "5", ["param.count"]),
    (PARAMS, "1", [("param.exist", "c")]),
    (PARAMS, "0", [("param.exists", "zz")]),
    ("a=1;b=two words;c", "<null>", [("param.value", "a")]),
    ("a=1;b=two words;c", "<null>", ["param.count"]),
    ("A=1;a=2", "1", [("param.value", "a")]),
    (";a=1", "2", ["param.count"]),
    ("", "<null>", ["param.count"]),
    (CSV, "5", ["csv.count"]),
    (CSV, "one", [("csv.value", 0)]),
    (CSV, "", [("csv.value", 3)]),
    (CSV, "a,b", [("csv.value", 4)]),
    (CSV, "<null>", [("csv.value", 5)]),
    (CSV, "a,b", [("csv.value", -1)]),
    (CSV, "one", [("csv.value", -5)]),
    ("single", "1", ["csv.count"]),
    (" a , b ", " a ", [("csv.value", 0)]),
    ("a,b,", "3", ["csv.count"]),
    ('"a""b",c', 'a"b', [("csv.value", 0)]),
    ('a"b,c', 'a"b', [("csv.value", 0)]),
    ('"a', "<null>", ["csv.count"]),
    ('"a"x,c', "<null>", ["csv.count"]),
    ("a\r\nb,c", "<null>", ["csv.count"]),
    (RECORD, "c\r\nd", [("csv.value", 1)]),
    (RECORD, "e", [("csv.value", 2)]),
    ("", "<null>", ["csv.count"]),
]


@pytest.mark.parametrize(("value", "printed", "steps"), SIP)
def test_parts_of_sip_and_lists(value: Value, printed: str, steps: list[tuple[Value, ...] | str]) -> None:
    assert shown(value, *steps) == printed


def test_ports_are_numbers() -> None:
    assert apply("sip:h:05070", "uri.port") == 5070
    assert apply(VIA, "via.port") == 5062


# -- recorded: addresses ----------------------------------------------------------------------------------------

IP = [
    ("192.168.1.1", "1", ["ip.isip"]),
    ("2001:db8::1", "1", ["ip.isip"]),
    ("[2001:db8::1]", "1", ["ip.isip6"]),
    ("not-ip", "0", ["ip.isip"]),
    ("256.1.1.1", "0", ["ip.isip"]),
    ("01.2.3.4", "0", ["ip.isip"]),
    ("fe80::1%eth0", "0", ["ip.isip6"]),
    ("", "<null>", ["ip.isip"]),
    ("2001:db8::1", "0", ["ip.isip4"]),
    ("192.168.1.1", "0", ["ip.isip6"]),
    ("192.168.1.1", "INET", ["ip.pton", "ip.family"]),
    ("2001:db8::1", "INET6", ["ip.pton", "ip.family"]),
    ("192.168.1.1", "192.168.1.1", ["ip.pton", "ip.ntop"]),
    ("2001:db8::1", "2001:DB8:0:0:0:0:0:1", ["ip.pton", "ip.ntop"]),
    ("192.168.1.1", "c0a80101", ["ip.pton", "s.encode.hexa"]),
    ("abc", "<null>", ["ip.ntop"]),
    ("abc", "<null>", ["ip.family"]),
    ("192.168.1.1", "1", [("ip.matches", "192.168.0.0/16")]),
    ("192.168.1.1", "0", [("ip.matches", "10.0.0.0/8")]),
    ("2001:db8::1", "1", [("ip.matches", "2001:db8::/32")]),
    ("2001:db8::1", "1", [("ip.matches", "[2001:db8::]/32")]),
    ("10.1.2.3", "<null>", [("ip.matches", "10.1.2.3")]),
    ("10.1.2.3", "<null>", [("ip.matches", "10.0.0.0/33")]),
    ("10.1.2.3", "<null>", [("ip.matches", "::/0")]),
    ("10.1.2.3", "1", [("ip.matches", "10.9.9.9/8")]),
    ("8.8.8.8", "0", ["ip.isprivate"]),
    ("172.31.255.255", "1", ["ip.isprivate"]),
    ("172.32.0.1", "0", ["ip.isprivate"]),
    ("127.0.0.1", "1", ["ip.isprivate"]),
    ("100.64.0.1", "1", ["ip.isprivate"]),
    ("169.254.1.1", "0", ["ip.isprivate"]),
    ("fc00::1", "0", ["ip.isprivate"]),
]


@pytest.mark.parametrize(("value", "printed", "steps"), IP)
def test_addresses(value: Value, printed: str, steps: list[tuple[Value, ...] | str]) -> None:
    assert shown(value, *steps) == printed


def test_names_are_resolved_beside_the_event_loop() -> None:
    resolve = RESOLVERS["ip", "resolve4"]
    assert asyncio.run(resolve("10.1.2.3")) == "10.1.2.3"  # type: ignore[arg-type]  # they are coroutines
    assert asyncio.run(resolve(None)) is None  # type: ignore[arg-type]
    assert asyncio.run(resolve("bad name \udc80")) is None  # type: ignore[arg-type]


# -- recorded: substitution and session descriptions ------------------------------------------------------------

HELLO = "hello world"
SUBSTITUTIONS = [
    (HELLO, "/world/there/", "hello there"),
    (HELLO, "/o/0/", "hell0 world"),
    (HELLO, "/o/0/g", "hell0 w0rld"),
    (HELLO, r"/(h)(e)/\2\1/", "ehllo world"),
    (HELLO, "/WORLD/x/", HELLO),
    (HELLO, "/WORLD/x/i", "hello x"),
    (HELLO, "/l+/[&]/g", "he[&]o wor[&]d"),
    (HELLO, r"/^(.*) (.*)$/\2 \1/", "world hello"),
    (HELLO, r"/(w)/\1\1/", "hello wworld"),
    (HELLO, "#o#0#g", "hell0 w0rld"),
    (HELLO, "/o//g", "hell wrld"),
    (HELLO, r"/o/a\/b/", "hella/b world"),
    (HELLO, r"/(o)/<\0>/", "hell<o> world"),
    (HELLO, r"/(o)/\2/", "hell world"),
    (HELLO, r"/(h)|(w)/[\1\2]/g", "[h]ello [w]orld"),
    (HELLO, r"/o/\t\r\\/", "hell\t\r\\ world"),
    (HELLO, r"/\bw/W/", "hello World"),
    (HELLO, "/^h|^e/x/g", "xello world"),
    ("hello", r"/(l)(l)/\2\10/", "hell0o"),
    ("hello", r"/o/\a\x\q/", "hellaxq"),
    ("a/b\\c", r"/\//x/", "axb\\c"),
    ("a\nb\nc", "/^b/x/", "a\nx\nc"),
    ("a\nb\nc", "/a$/x/", "x\nb\nc"),
    ("a\nb\nc", "/a.b/x/", "a\nb\nc"),
    ("a\nb\nc", "/^b/x/s", "a\nb\nc"),
    ("a\nb\nc", "/a.b/x/s", "x\nc"),
    ("é", "/^..$/x/", "x"),
    (HELLO, "/o/0/x", None),
    (HELLO, "/o/0", None),
    (HELLO, "o", None),
    (HELLO, "", None),
    (HELLO, "//x/", None),
    (HELLO, "/x*/-/g", None),
    ("hello", "/h*/-/", "-ello"),
    ("hello", "/h*/-/g", None),
    (HELLO, "/(o/x/", None),
    (HELLO, "/[/x/", None),
    ("", "/a/b/", None),
]


@pytest.mark.parametrize(("text", "expression", "result"), SUBSTITUTIONS)
def test_substitution(text: str, expression: str, result: str | None) -> None:
    assert apply(text, "re.subst", expression) == result


SDP = (
    "v=0\r\no=- 1 1 IN IP4 1.1.1.1\r\ns=x\r\nc=IN IP4 1.1.1.1\r\nt=0 0\r\na=sess\r\n"
    "m=audio 1000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    "m=video 2000 RTP/AVP 31\r\nc=IN IP4 2.2.2.2\r\n"
    "m=audio 3000 RTP/AVP 8\r\na=last\r\n"
)


def test_lines_of_a_session_description() -> None:
    assert apply(SDP, "sdp.line", "c") == "c=IN IP4 1.1.1.1"
    assert apply(SDP, "sdp.line", "c", 1) == "c=IN IP4 2.2.2.2"
    assert apply(SDP, "sdp.line", "m", 2) == "m=audio 3000 RTP/AVP 8"
    assert apply(SDP, "sdp.line", "m", 3) is None
    assert apply(SDP, "sdp.line", "v=") == "v=0"
    assert apply(SDP, "sdp.line", "z") is None


def test_streams_of_a_session_description() -> None:
    video = "m=video 2000 RTP/AVP 31\r\nc=IN IP4 2.2.2.2\r\n"
    last = "m=audio 3000 RTP/AVP 8\r\na=last\r\n"
    assert apply(SDP, "sdp.stream", "video") == apply(SDP, "sdp.stream", "1") == video
    assert apply(SDP, "sdp.stream", "AUDIO") == apply(SDP, "sdp.stream", "-1") == last
    assert apply(SDP, "sdp.stream", "3") is None
    assert apply(SDP, "sdp.stream-delete", "video") == SDP.replace(video, "")
    assert apply(SDP, "sdp.stream-delete", "2") == SDP.replace(last, "")
    assert apply(SDP, "sdp.stream-delete", "x") is None


# -- defects of the reference server ----------------------------------------------------------------------------


def test_all_streams_of_a_media_can_be_deleted() -> None:
    """The reference server writes over the description when there are two."""
    left = apply(SDP, "sdp.stream-delete", "audio")
    assert isinstance(left, str)
    assert left.startswith("v=0") and left.endswith("a=sess\r\nm=video 2000 RTP/AVP 31\r\nc=IN IP4 2.2.2.2\r\n")


def test_defect_5_a_substring_that_ends_before_it_starts_is_null() -> None:
    assert apply("abcdef", "s.substr", 4, -3) is None
    assert apply("abcdef", "s.substr", 1, -6) is None
    assert apply("abcdef", "s.substr", 2, -4) == ""
    assert apply("abcdef", "s.substr", 0, -(2**31)) is None


def test_defect_6_an_empty_key_for_xor_gives_null() -> None:
    assert apply("abc", "s.xor", "") is None


def test_defect_8_a_bad_via_is_null_every_time() -> None:
    for _ in range(3):
        assert apply("garbage", "via.host") is None
        assert apply(VIA, "via.host") == "10.0.0.1"


def test_defect_11_a_short_checksum_is_as_long_as_its_digits() -> None:
    assert apply("123456789", "s.crc32") == "873187033"


@pytest.mark.parametrize("text", ["zz", "Y", "Y*Jj", "-_-_", "====", "YQ==YQ==", "YQ=", "YR=="])
def test_defect_12_what_is_no_base64_gives_null(text: str) -> None:
    assert apply(text, "s.b64decode") is None


# -- properties -------------------------------------------------------------------------------------------------

texts = st.text(max_size=30) | st.binary(max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape"))
values = st.none() | st.integers(-(2**31), 2**31 - 1) | texts


@given(texts, st.text(min_size=1, max_size=5))
def test_what_is_encoded_can_be_decoded(text: str, key: str) -> None:
    assert apply(apply(text, "s.encode.hexa"), "s.decode.hexa") == text
    assert apply(apply(text, "s.b64encode"), "s.b64decode") == text
    assert apply(apply(text, "s.escape.common"), "s.unescape.common") == text
    assert apply(apply(text, "s.xor", key), "s.xor", key) == text
    assert apply(apply(text, "s.reverse"), "s.reverse") == text
    assert apply(text, "s.crc32") == str(~zlib.crc32(encode(text)) & 0xFFFFFFFF)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_what_is_escaped_for_a_uri_can_be_unescaped(text: str) -> None:
    assert apply(apply(text, "s.escape.user"), "s.unescape.user") == text
    assert apply(apply(text, "s.escape.param"), "s.unescape.param") == text


@given(st.integers(0, 2**31 - 1))
def test_numbers_survive_hexadecimal(number: int) -> None:
    assert apply(apply(number, "s.dec2hex"), "s.hex2dec") == number


@given(st.data())
def test_any_value_with_any_arguments_gives_a_value(data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(TRANSFORMATIONS)))
    signature = TRANSFORMATIONS[key]
    drawn = {"integer": st.integers(-(2**31), 100) | values, "char": values}
    arguments = [data.draw(drawn.get(kind, texts | st.just("/a/b/g"))) for kind in signature.kinds]
    found = apply(data.draw(values), ".".join(key), *arguments)
    assert found is None or encode(text_of(found)) is not None


def test_a_number_that_padding_and_substitution_leave_alone_stays_a_number() -> None:
    number = NumberWithText(6, "6")
    assert apply(number, "re.subst", "/b/X/") is number
    assert apply(number, "s.fill.left", "0", 1) is number
    assert apply(12, "s.fill.right", "0", 3) == "120"
    assert apply(12, "s.hex2dec") == 12


def test_a_comma_ends_a_list_of_parameters() -> None:
    assert [apply("a=1,b=2", "param.count"), apply("a=1,b=2", "param.value", "a")] == [1, "1"]
    assert apply("a=1,b=2", "param.value", "b") is None
