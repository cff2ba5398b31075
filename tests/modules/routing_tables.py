"""A folder with the tables of drouting, and scripts on them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from miscript.status_report import Identifier
from miscript.testing import ManualClock, MemoryNetwork, RunningScript

COLUMNS = {
    "dr_gateways": (
        "id(int,auto) gwid(string,null) type(int) address(string,null) strip(int) pri_prefix(string,null) "
        "attrs(string,null) probe_mode(int) state(int) socket(string,null) description(string,null)"
    ),
    "dr_carriers": (
        "id(int,auto) carrierid(string,null) gwlist(string,null) flags(int) sort_alg(string,null) state(int) "
        "attrs(string,null) description(string,null)"
    ),
    "dr_rules": (
        "ruleid(int) groupid(string,null) prefix(string,null) timerec(string,null) priority(int) "
        "routeid(string,null) gwlist(string,null) sort_alg(string,null) sort_profile(int,null) attrs(string,null) "
        "description(string,null)"
    ),
    "dr_groups": "id(int,auto) username(string) domain(string,null) groupid(int) description(string,null)",
    "dr_partitions": (
        "id(int,auto) partition_name(string,null) db_url(string,null) drd_table(string,null) drr_table(string,null) "
        "drg_table(string,null) drc_table(string,null) ruri_avp(string,null) gw_id_avp(string,null) "
        "gw_priprefix_avp(string,null) gw_sock_avp(string,null) rule_id_avp(string,null) "
        "rule_prefix_avp(string,null) carrier_id_avp(string,null)"
    ),
}
VERSIONS = {"dr_gateways": 6, "dr_carriers": 3, "dr_rules": 4, "dr_groups": 2, "dr_partitions": 1}
MODULES = "sl signaling tm db_text drouting mi_script"
HOST = ("10.0.0.9", 5060)
AVPS = "".join(
    f'modparam("drouting", "{name}", "$avp({avp})")\n'
    for name, avp in (
        ("ruri_avp", "ruri"),
        ("gw_id_avp", "gw"),
        ("gw_sock_avp", "sock"),
        ("gw_priprefix_avp", "pri"),
        ("rule_id_avp", "rule"),
        ("rule_prefix_avp", "matched"),
        ("carrier_id_avp", "carrier"),
    )
)

QUIET = 'modparam("drouting", "probing_interval", 0)\n'
IN_MEMORY = 'modparam("drouting", "persistent_state", 0)\n'
FRESH = 'modparam("db_text", "db_mode", 1)\n'

PATIENCE = 5000
"""Times to look whether tables are loaded."""


@dataclass
class RoutingTables:
    """`db_text` with the tables of drouting; `write` puts all rows that were added in their files."""

    folder: Path
    versions: dict[str, int] = field(default_factory=lambda: dict(VERSIONS))
    rows: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in COLUMNS})

    def add(self, table: str, *values: object) -> RoutingTables:
        """One more row; None is NULL."""
        texts = ("" if value is None else str(value).replace(":", "\\:") for value in values)
        self.rows.setdefault(table, []).append(":".join(texts))
        return self

    def gateway(
        self,
        id: str | None,
        address: str | None = None,
        *,
        type: int = 0,
        strip: int = 0,
        prefix: str = "",
        attrs: str = "",
        probe: int = 0,
        state: int = 0,
        socket: str = "",
        table: str = "dr_gateways",
    ) -> RoutingTables:
        number = len(self.rows.get(table, ())) + 1
        address = f"sip:10.0.1.{number}" if address is None else address
        return self.add(table, number, id, type, address, strip, prefix, attrs, probe, state, socket, "")

    def carrier(
        self, id: str, gwlist: str | None, *, flags: int = 0, sort: str = "N", state: int = 0, attrs: str = ""
    ) -> RoutingTables:
        number = len(self.rows["dr_carriers"]) + 1
        return self.add("dr_carriers", number, id, gwlist, flags, sort, state, attrs, "")

    def rule(
        self,
        prefix: str,
        gwlist: str,
        *,
        group: object = 0,
        priority: int = 0,
        time: str = "",
        route: str = "",
        sort: str = "N",
        attrs: str = "",
        id: object = None,
        table: str = "dr_rules",
    ) -> RoutingTables:
        number = len(self.rows.get(table, ())) + 1 if id is None else id
        return self.add(table, number, group, prefix, time, priority, route, gwlist, sort, None, attrs, "")

    def write(self) -> RoutingTables:
        self.folder.mkdir(exist_ok=True)
        versions = "".join(f"{name}:{number}\n" for name, number in self.versions.items())
        (self.folder / "version").write_text(f"table_name(string) table_version(int) \n{versions}")
        for name, rows in self.rows.items():
            kind = next(kind for kind in COLUMNS if name.startswith(kind))
            (self.folder / name).write_text(f"{COLUMNS[kind]} \n" + "".join(f"{row}\n" for row in rows))
        return self

    def script(
        self, body: str = "", *, parameters: str = "", modules: str = "", clock: ManualClock | None = None
    ) -> RunningScript:
        """A running script at `HOST` that has written and loaded the tables."""
        self.write()
        loads = "".join(f'loadmodule "{name}.so"\n' for name in f"{MODULES} {modules}".split())
        url = f'modparam("drouting", "db_url", "text://{self.folder}")\n'
        main = "" if "route {" in body else "route { exit; }\n"
        text = f"log_level=1\nsocket=udp:{HOST[0]}:{HOST[1]}\n{loads}{url}{AVPS}{FRESH}{parameters}\n{main}{body}\n"
        running = RunningScript(text, network=MemoryNetwork(), clock=clock)
        first_load(running)
        return running


def first_load(script: RunningScript) -> None:
    """Wait until the load that begins at the start has ended, well or not; files take real time, the clock stands."""
    statuses = script.host.services.find("status_report").groups["drouting"]  # type: ignore[union-attr]  # it is there
    for _ in range(PATIENCE):
        script.settle()
        if all(name.endswith(";events") or has_loaded(found) for name, found in statuses.items()):
            return
        time.sleep(0.002)
    raise AssertionError("the first load does not end")


def has_loaded(found: Identifier) -> bool:
    return found.status > 0 or (found.status == -2 and len(found.reports) > 0)


def call(number: str = "4930", *, host: str = "example.com", user: str = "alice", call_id: str = "one") -> str:
    """An INVITE to a number."""
    to = f"sip:{number}@{host}"
    return (
        f"INVITE {to} SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{call_id}\nMax-Forwards: 70\n"
        f"From: <sip:{user}@a.com>;tag=x\nTo: <{to}>\nCall-ID: {call_id}\nCSeq: 1 INVITE\nContent-Length: 0\n\n"
    )


def states(script: RunningScript) -> dict[str, str]:
    """Gateway → state, as `dr_gw_status` shows them."""
    shown = script.mi("dr_gw_status")
    return {one["ID"]: one["State"] for one in shown["Gateways"]}  # type: ignore[index]  # JSON


def reports(script: RunningScript, identifier: str = "Default") -> list[str]:
    """The reports of an identifier."""
    shown = script.mi("sr_list_reports", "drouting", identifier)
    return [one["Log"] for one in shown]  # type: ignore[attr-defined]  # JSON
