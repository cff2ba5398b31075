"""The parameters of module drouting, read and checked: `Settings.of` gives them, or raises ConfigurationError.

Source: OpenSIPS manual, module drouting, "Exported Parameters".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from ...database import url_or_default
from ...errors import ConfigurationError
from ...probing import checked_probe, reply_codes
from ...variable_spec import VariableSpec
from .blacklists import GatewayBlacklist
from .loading import TableNames
from .parameters import CLUSTER_PARAMETERS, SOCKET_FILTERS, DroutingParameters
from .partitions import DEFAULT, AvpNames

T = TypeVar("T")

AVPS: Final = (
    "ruri_avp", "gw_id_avp", "gw_priprefix_avp", "gw_sock_avp", "rule_id_avp", "rule_prefix_avp", "carrier_id_avp",
)  # fmt: skip
"""The parameters that name AVPs, in the order of the columns of `dr_partitions`."""

_QUERY = re.compile(r"\s*([A-Za-z0-9_]+)\s*:\s*(\S.*)", re.DOTALL)
_NOT_IN_IDS = set(",=#")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the parameters mean together."""

    url: str
    tables: TableNames
    avps: AvpNames
    blacklists: tuple[GatewayBlacklist, ...]
    rule_queries: Mapping[str, str]
    """Name → query, as `rule_tables_query` sets them."""
    reply_codes: frozenset[int]
    """Statuses of a good probe, 200 among them."""
    partition_variable: VariableSpec | None

    @classmethod
    def of(cls, given: DroutingParameters, parameters: Mapping[str, int | str]) -> Settings:
        """Read the parameters of a module; `parameters` are the global ones of the script."""
        _check(given)
        url_name = "db_partitions_url" if given.use_partitions else "db_url"
        url = given.db_partitions_url if given.use_partitions else url_or_default(given.db_url, parameters)
        if not url:
            raise ConfigurationError(f"{url_name} is not set, and the tables are nowhere else", parameter=url_name)
        queries = dict(_read("rule_tables_query", _rule_query, text) for text in given.rule_tables_query)
        avps = [str(getattr(given, name)) for name in AVPS]
        for name, text in zip(AVPS, avps, strict=True):
            if text:
                _read(name, VariableSpec.parse_avp, text)
        variable = given.partition_id_pvar
        return cls(
            url,
            TableNames(
                given.drd_table, given.drc_table, given.drr_table, given.drg_table, queries.get(given.drr_table, "")
            ),
            AvpNames.of(avps, DEFAULT),
            tuple(_read("define_blacklist", GatewayBlacklist.parse, text) for text in given.define_blacklist),
            queries,
            reply_codes(given.probing_reply_codes, "probing_reply_codes"),
            _read("partition_id_pvar", VariableSpec.parse, variable) if variable else None,
        )


def _check(given: DroutingParameters) -> None:
    for name, harmless in CLUSTER_PARAMETERS.items():
        if getattr(given, name) != harmless:
            raise _wrong(name, getattr(given, name), "clusters are not available")
    if given.probing_interval < 0:
        raise _wrong("probing_interval", given.probing_interval, "expected 0 or more")
    if given.gw_socket_filter_mode not in SOCKET_FILTERS:
        raise _wrong("gw_socket_filter_mode", given.gw_socket_filter_mode, f"expected {', '.join(SOCKET_FILTERS)}")
    if not given.extra_prefix_chars.isascii():
        raise _wrong("extra_prefix_chars", given.extra_prefix_chars, "expected signs of ASCII")
    ids = given.extra_id_chars
    if not ids.isascii() or set(ids) & _NOT_IN_IDS or any(sign.isspace() for sign in ids):
        raise _wrong("extra_id_chars", ids, "expected signs of ASCII, but no ',', '=', '#' and no blank")
    checked_probe(
        given.probing_method, given.probing_from, method_parameter="probing_method", from_parameter="probing_from"
    )


def _rule_query(text: str) -> tuple[str, str]:
    found = _QUERY.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is no query, expected NAME: SELECT …")
    return found[1], found[2].strip()


def _read(name: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}", parameter=name) from error


def _wrong(name: str, value: object, why: str) -> ConfigurationError:
    return ConfigurationError(f"{name} is '{value}': {why}", parameter=name)
