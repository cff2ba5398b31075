"""Recipes and parameters of a command: what reaches the handler, what is refused and with which words."""

from __future__ import annotations

import functools
import operator
from typing import Annotated, Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import DeclarationError, MIError
from miscript.mi.command import Command, Raw, Unread
from miscript.mi.parameters import Refused


def everything(*arguments: object, **names: object) -> object:
    raise AssertionError("not called")


def ds_list(full: str | None = None, partition: str | None = None) -> None: ...


def cache_store(system: str, attr: str, value: str, expire: int = 0) -> None: ...


def version(revision=None) -> None: ...  # type: ignore[no-untyped-def]  # not annotated: not read


def dlg_list(
    callid: str | None = None,
    from_tag: Optional[str] = None,  # noqa: UP045  # modules may write it so
    index: int = 0,
    counter: int = 0,
) -> None: ...


def statistics_get(statistics: list[str]) -> None: ...


def gw_status(partition_name: str = "", gw_id: str = "", status: int | None = None) -> None: ...


DS_LIST = Command("dispatcher", "list", ("ds_list",), ((), ("partition",), ("full",), ("full", "partition")), ds_list)
STORE = Command("cache", "store", (), (("system", "attr", "value"), ("system", "attr", "value", "expire")), cache_store)
VERSION = Command("core", "version", (), ((), ("revision",)), version)
DLG_LIST = Command(
    "dialog", "list", (), ((), ("callid",), ("callid", "from_tag"), ("index", "counter")), dlg_list, named_only=True
)
STATISTICS = Command("statistics", "get", (), (("statistics",),), statistics_get)
GW_STATUS = Command(
    "drouting", "gw_status", (), (("gw_id",), ("gw_id", "status"), ("partition_name", "gw_id", "status")), gw_status
)


@pytest.mark.parametrize(
    ("command", "params", "arguments"),
    [
        (DS_LIST, None, ()),
        (DS_LIST, {"partition": "p"}, (None, "p")),
        (DS_LIST, {"full": "f"}, ("f",)),
        (DS_LIST, {"partition": "p", "full": "f"}, ("f", "p")),
        (DS_LIST, ["f", "p"], ("f", "p")),
        (STORE, ["local", "k", 12], ("local", "k", "12")),
        (STORE, ["local", "k", "v", "60"], ("local", "k", "v", 60)),
        (STORE, {"expire": 60.9, "value": 2.75, "attr": "", "system": -2.75}, ("-2", "", "2", 60)),
        (VERSION, {"revision": None}, (None,)),
        (VERSION, [{"a": [1]}], ({"a": [1]},)),
        (DLG_LIST, {"counter": 2, "index": 1}, (None, None, 1, 2)),
        (DLG_LIST, {"from_tag": 7, "callid": "c"}, ("c", "7")),
        (STATISTICS, [["core:", 1, 2.5]], (["core:", "1", "2"],)),
        (GW_STATUS, ["gw"], ("", "gw")),
        (GW_STATUS, ["gw", 1], ("", "gw", 1)),
        (GW_STATUS, ["p", "gw", "-1"], ("p", "gw", -1)),
    ],
)
def test_parameters_reach_the_handler_in_its_own_order(command: Command, params: Any, arguments: Any) -> None:
    assert command.arguments(params) == arguments


NUMBER, NAMES, AMBIGUOUS, NAMED_ONLY = (
    "Too few or too many parameters",
    "Named parameters do not match",
    "Ambiguous call, use named parameters instead",
    "Command only supports named parameters",
)


@pytest.mark.parametrize(
    ("command", "params", "data"),
    [
        (STORE, None, NUMBER),
        (STORE, [], NUMBER),
        (STORE, ["a", "b"], NUMBER),
        (STORE, ["a", "b", "c", 1, 2], NUMBER),
        (STORE, {"system": "a"}, NUMBER),
        (VERSION, [1, 2], NUMBER),
        (VERSION, [], NUMBER),
        (VERSION, {}, NUMBER),
        (DS_LIST, {"full": 1, "partition": 2, "x": 3}, NUMBER),
        (DS_LIST, {"Full": "f"}, NAMES),
        (DS_LIST, {"full": "f", "other": "p"}, NAMES),
        (STORE, {"system": "a", "attr": "b", "valu": "c"}, NAMES),
        (DLG_LIST, {"index": 1}, NAMES),
        (DS_LIST, ["default"], AMBIGUOUS),
        (DLG_LIST, ["c"], NAMED_ONLY),
        (DLG_LIST, ["c", "f", "x"], NAMED_ONLY),
        (DLG_LIST, [], NUMBER),
        (STORE, [None, "k", "v"], "Bad type for parameter 'system'"),
        (STORE, ["s", True, "v"], "Bad type for parameter 'attr'"),
        (STORE, ["s", ["k"], {}], "Bad type for parameter 'attr'"),
        (STORE, ["s", "k", {"v": 1}], "Bad type for parameter 'value'"),
        (STORE, ["s", "k", 12345678901], "Bad type for parameter 'value'"),
        (STORE, {"value": None, "attr": None, "system": None}, "Bad type for parameter 'system'"),
        (STATISTICS, [[]], "Empty array in parameter 'statistics'"),
        (STATISTICS, ["core:"], "Bad type for parameter 'statistics'"),
        (STATISTICS, [{"a": 1}], "Bad type for parameter 'statistics'"),
        (STATISTICS, [["a", None]], "Bad type for array item in parameter 'statistics'"),
        (STATISTICS, [["a", ["b"]]], "Bad type for array item in parameter 'statistics'"),
        (STATISTICS, [[2147483648]], "Bad type for array item in parameter 'statistics'"),
    ],
)
def test_what_fits_no_recipe_or_has_the_wrong_type_is_refused(command: Command, params: Any, data: str) -> None:
    with pytest.raises(MIError) as refused:
        command.arguments(params)
    assert (refused.value.code, refused.value.message, refused.value.data) == (-32602, "Invalid params", data)


def level(level: int) -> None: ...


LEVEL = Command("core", "xlog_level", (), (("level",),), level)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        (-1.9, -1),
        (2147483647.5, 2147483647),
        ("4", 4),
        ("-4", -4),
        ("+3", 3),
        ("03", 3),
        ("0" * 5000 + "3", 3),
        ("-2147483648", -2147483648),
    ],
)
def test_integers_come_from_numbers_and_from_texts_of_digits(value: object, number: int) -> None:
    assert LEVEL.arguments([value]) == (number,)


@pytest.mark.parametrize(
    "value",
    ["", "-", "+", " 3", "3 ", "3\t", "3\n", "3.5", "0x3", "--3", "-+3", "four", "٣", "9" * 6000, "2147483648",
     2147483648, -2147483649, 1e300, float("inf"), float("nan"), None, True, [1], {}],
)  # fmt: skip
def test_what_is_no_integer_of_32_bits_is_a_bad_type(value: object) -> None:
    with pytest.raises(MIError) as refused:
        LEVEL.arguments([value])
    assert refused.value.data == "Bad type for parameter 'level'"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.sampled_from([DS_LIST, STORE, VERSION, DLG_LIST, STATISTICS, GW_STATUS, LEVEL]),
    st.none()
    | st.lists(anything, max_size=5)
    | st.dictionaries(st.sampled_from("level full partition system attr value statistics gw_id".split()), anything),
)
def test_any_parameters_give_arguments_or_an_mi_error(command: Command, params: Any) -> None:
    try:
        arguments = command.arguments(params)
    except MIError as refused:
        assert refused.code == -32602
    else:
        assert isinstance(arguments, tuple)


def test_names_that_python_cannot_have_are_spelled_for_it() -> None:
    def av_add(from_: str, integrity_key: str) -> None: ...

    command = Command("auth_aka", "av_add", (), (("from", "integrity-key"),), av_add)
    assert command.arguments({"integrity-key": "k", "from": "f"}) == ("f", "k")
    with pytest.raises(MIError) as refused:
        command.arguments({"integrity-key": None, "from": "f"})
    assert refused.value.data == "Bad type for parameter 'integrity-key'"


def test_methods_coroutines_and_raw_values_can_be_handlers() -> None:
    class Module:
        async def subscribe(self, event: str, params: Raw = None) -> None: ...

    command = Command("evi", "raise", (), (("event",), ("event", "params")), Module().subscribe)
    assert command.waits
    assert command.arguments(["E", {"a": 1}]) == ("E", {"a": 1})
    assert not LEVEL.waits


def test_the_module_prefix_proto_is_cut_off() -> None:
    assert Command("proto_hep", "list", (), ((),), lambda: None).full == "hep:list"


def keyword_only(*, level: int = 0) -> None: ...


def no_such_type(level: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821  # that is the test


def send(method: str, headers: Unread[str], code: Unread[int] | None = None) -> None: ...


def test_a_handler_may_read_parameters_when_it_comes_to_them() -> None:
    command = Command("tm", "send", (), (("method", "headers"), ("method", "headers", "code")), send)
    method, headers = command.arguments(["x", 5])
    assert isinstance(headers, Unread) and (method, headers.read()) == ("x", "5")
    *_, code = command.arguments({"method": "x", "headers": None, "code": None})
    assert isinstance(code, Unread)
    with pytest.raises(MIError) as caught:
        code.read()
    assert caught.value.data == "Bad type for parameter 'code'"
    with pytest.raises(DeclarationError, match=r"one of them in 'Unread\[…\]'"):
        Command("tm", "send", (), (("level",),), of_unread_bytes)


def fetch(system: Annotated[str, Refused(operator.not_, "Empty system")], attr: str) -> None: ...


def test_what_a_parameter_must_not_be_is_told_before_the_next_one_is_read() -> None:
    command = Command("cache", "fetch", (), (("system", "attr"),), fetch)
    assert command.arguments([5, "x"]) == ("5", "x")
    for params, data in ((["", None], "Empty system"), ([None, ""], "Bad type for parameter 'system'")):
        with pytest.raises(MIError) as caught:
            command.arguments(params)
        assert caught.value.data == data
    assert command.texts_as_given == {2}


def of_unread_bytes(level: Unread[bytes]) -> None: ...


@pytest.mark.parametrize("expire", ["x", None])
def test_what_is_read_first_is_complained_about_first_and_arrives_in_its_place(expire: object) -> None:
    recipes = (("system", "attr", "value"), ("system", "attr", "value", "expire"))
    command = Command("cache", "store", (), recipes, cache_store, read_first=("expire",))
    with pytest.raises(MIError) as caught:
        command.arguments([None, "k", "v", expire])
    assert caught.value.data == "Bad type for parameter 'expire'"
    assert command.arguments(["local", "k", "v", 5]) == ("local", "k", "v", 5)
    assert command.arguments(["local", "k", "v"]) == ("local", "k", "v")


def of_bytes(level: bytes) -> None: ...


@pytest.mark.parametrize(
    ("name", "recipes", "handler", "words"),
    [
        ("", ((),), lambda: None, "expected 'module:command'"),
        ("a:b", ((),), lambda: None, "expected 'module:command'"),
        ("x", (), lambda: None, "no recipe"),
        ("x", (("a", "a"),), lambda a: None, "names a parameter twice"),
        ("x", (("a", "b"), ("b", "a")), lambda a, b: None, "the same parameters"),
        ("x", (("levle",),), level, "no parameter 'levle'"),
        ("x", ((), ("level",)), level, "'level' has no default"),
        ("x", (("level",),), keyword_only, "keyword-only"),
        ("x", ((),), everything, "variadic"),
        ("x", ((),), dict, "cannot be known"),
        ("x", (("level",),), of_bytes, "'bytes', expected 'str', 'int'"),
        ("x", (("level",),), no_such_type, "cannot be evaluated"),
        ("x", (("statistics",),), functools.partial(of_bytes, b""), "no parameter 'statistics'"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_at_once(name: str, recipes: Any, handler: Any, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        Command("core", name, (), recipes, handler)
