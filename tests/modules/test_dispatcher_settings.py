"""What the parameters of dispatcher say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.blacklist_service import named_numbers, numbers_in
from miscript.errors import ConfigurationError
from miscript.modules.dispatcher.choosing import Wishes
from miscript.modules.dispatcher.failover import with_domain
from miscript.modules.dispatcher.settings import Settings, avps_of, partitions
from miscript.probing import reply_codes
from miscript.sip import SipSyntaxError, SipUri

DEFAULT = Settings("default", db_url="text:///db", attrs_avp="$avp(a)", dst_avp="$avp(d)")


def test_a_partition_has_what_it_sets_and_the_rest_from_the_default_one():
    line = (
        "vm:\n db_url = text:///vm?a=b; table_name=vms ;attrs_avp = $avp(vm); persistent_state = 0; ping_from=sip:me@x"
    )
    vm, default = partitions(DEFAULT, [line])
    assert default == DEFAULT
    assert (vm.name, vm.db_url, vm.table_name) == ("vm", "text:///vm?a=b", "vms")
    assert (vm.attrs_avp, vm.persistent_state, vm.ping_from) == ("$avp(vm)", False, "sip:me@x")
    assert partitions(DEFAULT, ["b: table_name=t"])[0].db_url == "text:///db"


def test_the_lists_of_two_partitions_are_never_the_same():
    (b, default) = partitions(DEFAULT, ["b: table_name=t"])
    assert avps_of(default).destinations == "d"
    assert avps_of(b).destinations == "ds_dst_failover_b"
    assert avps_of(b).attributes == "a"


def test_the_default_partition_comes_last_and_may_be_another_ones_other_name():
    (only,) = partitions(DEFAULT, ["trunks: table_name=t", "default: trunks"])
    assert (only.name, only.table_name) == ("default", "t")
    assert avps_of(only).count == "ds_cnt_failover"
    assert [each.name for each in partitions(None, ["b: table_name=t", "c: table_name=u"])] == ["b", "c"]
    assert [each.name for each in partitions(DEFAULT, ["b: table_name=t"])] == ["b", "default"]


def test_one_partition_may_be_set_in_several_lines():
    (b,) = partitions(None, ["b: table_name=t; db_url=x://y", "b: table_name=u"])
    assert (b.table_name, b.db_url) == ("u", "x://y")


@pytest.mark.parametrize(
    "line",
    ["foo", "", "a b: table_name=x", "a: bar=1", "a: table_name", "default: nope", "a: persistent_state=2", ": x=y"],
)
def test_a_wrong_partition_is_refused(line):
    with pytest.raises(ConfigurationError) as refused:
        partitions(DEFAULT, [line])
    assert refused.value.parameter == "partition"


@given(st.text(max_size=60))
def test_any_partition_line_is_read_or_refused(line):
    try:
        found = partitions(DEFAULT, [line])
    except ConfigurationError:
        return
    assert all(each.name for each in found)


@pytest.mark.parametrize("name", ["dst_avp", "attrs_avp", "script_attrs_avp"])
def test_an_avp_parameter_must_name_an_avp(name):
    with pytest.raises(ConfigurationError) as refused:
        avps_of(Settings("default", **{name: "$var(x)"}))
    assert refused.value.parameter == name


def test_reply_codes_have_200_always():
    assert reply_codes("", "x") == {200}
    assert reply_codes("501, 403,", "x") == {200, 403, 501}


@pytest.mark.parametrize("text", ["abc", "501, 99", "183", "700", "４０４"])
def test_wrong_reply_codes_are_refused(text):
    with pytest.raises(ConfigurationError):
        reply_codes(text, "x")


def test_sets_are_numbers_with_commas_between():
    assert numbers_in("1, 2,30", "x") == {1, 2, 30}
    for text in ("", "1,x", "1,,2", "1 2"):
        with pytest.raises(ConfigurationError):
            numbers_in(text, "ds_probing_list")


def test_a_blacklist_has_a_name_and_sets():
    assert named_numbers("list= 1,4", "x") == ("list", {1, 4})
    (b,) = partitions(None, ["b: ds_define_blacklist = l1 = 1,2; ds_define_blacklist = l2=3"])
    assert b.blacklists == (("l1", {1, 2}), ("l2", {3}))
    for text in ("x", "=1", "x=", "x=1,a"):
        with pytest.raises(ConfigurationError):
            named_numbers(text, "ds_define_blacklist")


def test_flags_are_letters_in_any_case():
    assert Wishes.parse("") == Wishes()
    assert Wishes.parse("fUD") == Wishes(failover=True, user_only=True, keep_last=True)
    assert Wishes.parse("a") == Wishes(append=True)
    for text in ("x", "f u", "f,u", "F1"):
        with pytest.raises(ValueError):
            Wishes.parse(text)


@pytest.mark.parametrize(
    ("uri", "destination", "expected"),
    [
        ("sip:me@there.com:99;x=y", "sip:127.0.0.1:7002", "sip:me@127.0.0.1:7002;x=y"),
        ("sip:me@there.com:99", "sip:127.0.0.1", "sip:me@127.0.0.1"),
        ("sip:me:pw@there.com?h=1", "sip:u:p@[::1]:9;p=1", "sip:me:pw@[::1]:9?h=1"),
        ("sip:me@there.com;transport=udp;x=y", "sip:a;transport=tcp", "sip:me@a;transport=tcp;x=y"),
    ],
)
def test_a_domain_is_host_port_and_transport(uri, destination, expected):
    assert with_domain(uri, SipUri.parse(destination)) == expected


def test_a_uri_without_a_host_gets_none():
    with pytest.raises(SipSyntaxError):
        with_domain("tel:+1", SipUri.parse("sip:a"))
