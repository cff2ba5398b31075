"""The tables that modules use: their columns, their versions, and which module each belongs to.

Names, types, defaults and versions are those of OpenSIPS 4.1, so that a database made for it serves here and one made
here serves it.  What differs: numbers of ports and masks are wide enough for all values on every server.

Source: OpenSIPS 4.1, database schema (`db/schema`) and the modules' manuals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

LONG_AGO: Final = "1900-01-01 00:00:01"

metadata: Final = sa.MetaData()
"""All tables but `version`, whose name the global parameter db_version_table sets."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A table, the module that uses it, and the version of its columns."""

    module: str
    version: int
    table: sa.Table

    @property
    def name(self) -> str:
        return self.table.name


DEFINITIONS: Final[list[Definition]] = []


def _table(module: str, name: str, version: int, *parts: sa.schema.SchemaItem) -> None:
    DEFINITIONS.append(Definition(module, version, sa.Table(name, metadata, *parts)))


_UNSIGNED: Final = sa.Integer().with_variant(mysql.INTEGER(unsigned=True), "mysql", "mariadb")
_LONG: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _numbered(name: str = "id", kind: Any = _UNSIGNED) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=True)


def _text(name: str, length: int, default: str | None = None) -> sa.Column[Any]:
    """A text; without a default it must be given."""
    return sa.Column(name, sa.String(length), nullable=False, server_default=default)


def _maybe(name: str, kind: Any) -> sa.Column[Any]:
    """A value that may be NULL."""
    return sa.Column(name, sa.String(kind) if isinstance(kind, int) else kind, nullable=True)


def _number(name: str, default: int | None = None, kind: Any = _UNSIGNED) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default=None if default is None else str(default))


def _signed(name: str, default: int | None = None) -> sa.Column[Any]:
    return _number(name, default, sa.Integer())


def _time(name: str, default: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(), nullable=False, server_default=default)


def version_table(name: str = "version") -> sa.Table:
    """The table that tells the versions of the others."""
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("table_name", sa.String(32), nullable=False, unique=True),
        _number("table_version", 0),
    )


def _call_columns() -> list[sa.Column[Any]]:
    return [
        _text("method", 16, ""),
        _text("from_tag", 64, ""),
        _text("to_tag", 64, ""),
        _text("callid", 64, ""),
        _text("sip_code", 3, ""),
        _text("sip_reason", 32, ""),
        _time("time"),
    ]


_table(
    "acc",
    "acc",
    7,
    _numbered(),
    *_call_columns(),
    _number("duration", 0),
    _number("ms_duration", 0),
    _number("setuptime", 0),
    _maybe("created", sa.DateTime()),
    sa.Index("acc_callid_idx", "callid"),
)
_table(
    "acc",
    "missed_calls",
    5,
    _numbered(),
    *_call_columns(),
    _number("setuptime", 0),
    _maybe("created", sa.DateTime()),
    sa.Index("missed_calls_callid_idx", "callid"),
)
_table(
    "alias_db",
    "dbaliases",
    2,
    _numbered(),
    _text("alias_username", 64, ""),
    _text("alias_domain", 64, ""),
    _text("username", 64, ""),
    _text("domain", 64, ""),
    sa.UniqueConstraint("alias_username", "alias_domain", name="dbaliases_alias_idx"),
    sa.Index("dbaliases_target_idx", "username", "domain"),
)
_table(
    "auth_db",
    "subscriber",
    8,
    _numbered(),
    _text("username", 64, ""),
    _text("domain", 64, ""),
    _text("password", 25, ""),
    _text("ha1", 64, ""),
    _text("ha1_sha256", 64, ""),
    _text("ha1_sha512t256", 64, ""),
    sa.UniqueConstraint("username", "domain", name="subscriber_account_idx"),
    sa.Index("subscriber_username_idx", "username"),
)
_table(
    "auth_db",
    "uri",
    2,
    _numbered(),
    _text("username", 64, ""),
    _text("domain", 64, ""),
    _text("uri_user", 64, ""),
    _time("last_modified", LONG_AGO),
    sa.UniqueConstraint("username", "domain", "uri_user", name="uri_account_idx"),
)
_table(
    "cachedb_sql",
    "cachedb",
    2,
    _numbered(),
    _text("keyname", 255),
    sa.Column("value", sa.Text(), nullable=False),
    _signed("counter", 0),
    _number("expires", 0),
    sa.UniqueConstraint("keyname", name="cachedb_cachedbsql_keyname_idx"),
)
_table(
    "dialog",
    "dialog",
    12,
    sa.Column("dlg_id", _LONG, primary_key=True, autoincrement=False),
    _text("callid", 255),
    _text("from_uri", 255),
    _text("from_tag", 64),
    _text("to_uri", 255),
    _text("to_tag", 64),
    _maybe("mangled_from_uri", 255),
    _maybe("mangled_to_uri", 255),
    _text("caller_cseq", 11),
    _text("callee_cseq", 11),
    _number("caller_ping_cseq"),
    _number("callee_ping_cseq"),
    _maybe("caller_route_set", sa.Text()),
    _maybe("callee_route_set", sa.Text()),
    _maybe("caller_contact", 255),
    _maybe("callee_contact", 255),
    _text("caller_sock", 64),
    _text("callee_sock", 64),
    _number("state"),
    _number("start_time"),
    _number("timeout"),
    _maybe("vars", sa.LargeBinary()),
    _maybe("profiles", sa.Text()),
    _maybe("script_flags", 255),
    _number("module_flags", 0),
    _number("flags", 0),
    _maybe("rt_on_answer", 64),
    _maybe("rt_on_timeout", 64),
    _maybe("rt_on_hangup", 64),
)
_table(
    "dialplan",
    "dialplan",
    5,
    _numbered(),
    _signed("dpid"),
    _signed("pr", 0),
    _signed("match_op"),
    _text("match_exp", 64),
    _signed("match_flags", 0),
    _maybe("subst_exp", 64),
    _maybe("repl_exp", 32),
    _maybe("timerec", 255),
    _signed("disabled", 0),
    _maybe("attrs", 255),
)
_table(
    "dispatcher",
    "dispatcher",
    9,
    _numbered(),
    _signed("setid", 0),
    _text("destination", 192, ""),
    _maybe("socket", 128),
    _signed("state", 0),
    _number("probe_mode", 0),
    _text("weight", 64, "1"),
    _signed("priority", 0),
    _maybe("attrs", 128),
    _maybe("description", 64),
)
_table(
    "domain",
    "domain",
    4,
    _numbered(),
    _text("domain", 64, ""),
    _maybe("attrs", 255),
    _number("accept_subdomain", 0),
    _time("last_modified", LONG_AGO),
    sa.UniqueConstraint("domain", name="domain_domain_idx"),
)
_table(
    "drouting",
    "dr_gateways",
    6,
    _numbered(),
    _text("gwid", 64),
    _number("type", 0),
    _text("address", 128),
    _number("strip", 0),
    _maybe("pri_prefix", 16),
    _maybe("attrs", 255),
    _number("probe_mode", 0),
    _number("state", 0),
    _maybe("socket", 128),
    _maybe("description", 128),
    sa.UniqueConstraint("gwid", name="dr_gateways_dr_gw_idx"),
)
_table(
    "drouting",
    "dr_rules",
    4,
    _numbered("ruleid"),
    _text("groupid", 255),
    _text("prefix", 64),
    _maybe("timerec", 255),
    _signed("priority", 0),
    _maybe("routeid", 255),
    _maybe("gwlist", 255),
    _text("sort_alg", 1, "N"),
    _maybe("sort_profile", _UNSIGNED),
    _maybe("attrs", 255),
    _maybe("description", 128),
)
_table(
    "drouting",
    "dr_carriers",
    3,
    _numbered(),
    _text("carrierid", 64),
    _text("gwlist", 255),
    _number("flags", 0),
    _text("sort_alg", 1, "N"),
    _number("state", 0),
    _maybe("attrs", 255),
    _maybe("description", 128),
    sa.UniqueConstraint("carrierid", name="dr_carriers_dr_carrier_idx"),
)
_table(
    "drouting",
    "dr_groups",
    2,
    _numbered(),
    _text("username", 64),
    _maybe("domain", 128),
    _number("groupid", 0),
    _maybe("description", 128),
)
_table(
    "drouting",
    "dr_partitions",
    1,
    _numbered(),
    _text("partition_name", 255),
    _text("db_url", 255),
    *[_maybe(f"dr{letter}_table", 255) for letter in "drgc"],
    *[
        _maybe(f"{name}_avp", 255)
        for name in ("ruri", "gw_id", "gw_priprefix", "gw_sock", "rule_id", "rule_prefix", "carrier_id")
    ],
)
_table(
    "freeswitch_scripting",
    "freeswitch",
    1,
    _numbered(),
    _maybe("username", 64),
    _text("password", 64),
    _text("ip", 20),
    _signed("port", 8021),
    _maybe("events_csv", 255),
)
_table(
    "group",
    "grp",
    3,
    _numbered(),
    _text("username", 64, ""),
    _text("domain", 64, ""),
    _text("grp", 64, ""),
    _time("last_modified", LONG_AGO),
    sa.UniqueConstraint("username", "domain", "grp", name="grp_account_group_idx"),
)
_table(
    "group",
    "re_grp",
    2,
    _numbered(),
    _text("reg_exp", 128, ""),
    _signed("group_id", 0),
    sa.Index("re_grp_group_idx", "group_id"),
)
_table(
    "load_balancer",
    "load_balancer",
    3,
    _numbered(),
    _number("group_id", 0),
    _text("dst_uri", 128),
    _text("resources", 255),
    _number("probe_mode", 0),
    _maybe("attrs", 255),
    _maybe("description", 128),
    sa.Index("load_balancer_dsturi_idx", "dst_uri"),
)
_table(
    "permissions",
    "address",
    5,
    _numbered(),
    _number("grp", 0),
    _text("ip", 50),
    _number("mask", 32),
    _number("port", 0),
    _text("proto", 4, "any"),
    _maybe("pattern", 64),
    _maybe("context_info", 32),
)
_table(
    "sqlops",
    "usr_preferences",
    3,
    _numbered(),
    _text("uuid", 64, ""),
    _text("username", 64, "0"),
    _text("domain", 64, ""),
    _text("attribute", 32, ""),
    _signed("type", 0),
    _text("value", 128, ""),
    _time("last_modified", LONG_AGO),
    sa.Index("usr_preferences_ua_idx", "uuid", "attribute"),
    sa.Index("usr_preferences_uda_idx", "username", "domain", "attribute"),
    sa.Index("usr_preferences_value_idx", "value"),
)
_table(
    "tracer",
    "sip_trace",
    5,
    _numbered(),
    _time("time_stamp", LONG_AGO),
    _text("callid", 255, ""),
    _maybe("trace_attrs", 255),
    sa.Column("msg", sa.Text(), nullable=False),
    _text("method", 32, ""),
    _maybe("status", 255),
    _text("from_proto", 5),
    _text("from_ip", 50, ""),
    _number("from_port"),
    _text("to_proto", 5),
    _text("to_ip", 50, ""),
    _number("to_port"),
    _text("fromtag", 64, ""),
    _text("direction", 4, ""),
    sa.Index("sip_trace_trace_attrs_idx", "trace_attrs"),
    sa.Index("sip_trace_date_idx", "time_stamp"),
    sa.Index("sip_trace_fromip_idx", "from_ip"),
    sa.Index("sip_trace_callid_idx", "callid"),
)
_table(
    "tls_mgm",
    "tls_mgm",
    3,
    _numbered(),
    sa.Column("domain", sa.String(64), nullable=False),
    _maybe("match_ip_address", 255),
    _maybe("match_sip_domain", 255),
    _signed("type", 1),
    sa.Column("method", sa.String(16), nullable=True, server_default="SSLv23"),
    sa.Column("verify_cert", sa.Integer(), nullable=True, server_default="1"),
    sa.Column("require_cert", sa.Integer(), nullable=True, server_default="1"),
    _maybe("certificate", sa.LargeBinary()),
    _maybe("private_key", sa.LargeBinary()),
    sa.Column("crl_check_all", sa.Integer(), nullable=True, server_default="0"),
    _maybe("crl_dir", 255),
    _maybe("ca_list", sa.LargeBinary(1 << 24)),  # many CAs do not fit into MySQL's BLOB
    _maybe("ca_dir", 255),
    _maybe("cipher_list", 255),
    _maybe("dh_params", sa.LargeBinary()),
    _maybe("ec_curve", 255),
    sa.UniqueConstraint("domain", "type", name="tls_mgm_domain_type_idx"),
)
_table(
    "userblacklist",
    "userblacklist",
    2,
    _numbered(),
    _text("username", 64, ""),
    _text("domain", 64, ""),
    _text("prefix", 64, ""),
    _signed("whitelist", 0),
    sa.Index("userblacklist_userblacklist_idx", "username", "domain", "prefix"),
)
_table(
    "userblacklist",
    "globalblacklist",
    2,
    _numbered(),
    _text("prefix", 64, ""),
    _signed("whitelist", 0),
    _maybe("description", 255),
    sa.Index("globalblacklist_globalblacklist_idx", "prefix"),
)
_table(
    "usrloc",
    "location",
    1013,
    _numbered("contact_id", _LONG),
    _text("username", 64, ""),
    _maybe("domain", 64),
    sa.Column("contact", sa.Text(), nullable=False),
    _maybe("received", 255),
    _maybe("path", 255),
    _number("expires"),
    sa.Column("q", sa.Float(), nullable=False, server_default="1.0"),
    _text("callid", 255, "Default-Call-ID"),
    _signed("cseq", 13),
    _time("last_modified", LONG_AGO),
    _signed("flags", 0),
    _maybe("cflags", 255),
    _text("user_agent", 255, ""),
    _maybe("socket", 64),
    _maybe("methods", sa.Integer()),
    _maybe("sip_instance", 255),
    _maybe("kv_store", sa.Text()),
    _maybe("attr", 255),
)
