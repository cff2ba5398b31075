"""A folder with a table of destinations, and scripts on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from miscript.testing import MemoryNetwork, RunningScript

COLUMNS = (
    "id(int,auto) setid(int) destination(string) socket(string,null) state(int) probe_mode(int) weight(string) "
    "priority(int) attrs(string,null) description(string,null) \n"
)
MODULES = "sl signaling tm db_text dispatcher mi_script"
HOST = ("10.0.0.9", 5060)


@dataclass
class Table:
    """`db_text` with the table `dispatcher`; `write` puts all rows that were added in its file."""

    folder: Path
    version: int = 9
    rows: list[str] = field(default_factory=list)

    def add(
        self,
        set_id: object,
        uri: str,
        *,
        socket: str = "",
        state: object = 0,
        probe_mode: int = 0,
        weight: object = 1,
        priority: object = 0,
        attrs: str = "",
        description: str = "",
    ) -> Table:
        """One more row; values may be wrong ones."""
        values = [len(self.rows) + 1, set_id, uri, socket, state, probe_mode, weight, priority, attrs, description]
        self.rows.append(":".join(str(value).replace(":", "\\:") for value in values))
        return self

    def write(self, name: str = "dispatcher", columns: str = COLUMNS) -> Table:
        self.folder.mkdir(exist_ok=True)
        text = f"table_name(string) table_version(int) \ndispatcher:{self.version}\nother:9\n"
        (self.folder / "version").write_text(text)
        (self.folder / name).write_text(columns + "".join(f"{row}\n" for row in self.rows))
        return self

    def states(self) -> dict[str, int]:
        """URI → state, as the file has them."""
        lines = (self.folder / "dispatcher").read_text().splitlines()[1:]
        fields = [line.replace("\\:", "\0").split(":") for line in lines if line]
        return {row[2].replace("\0", ":"): int(row[4]) for row in fields}

    def script(self, body: str = "route { exit; }", *, parameters: str = "", head: str = "") -> RunningScript:
        """A running script at `HOST` that has written the table."""
        self.write()
        loads = "".join(f'loadmodule "{name}.so"\n' for name in MODULES.split())
        url = f'modparam("dispatcher", "db_url", "text://{self.folder}")\n'
        text = f"log_level=1\nsocket=udp:{HOST[0]}:{HOST[1]}\n{head}\n{loads}{url}{parameters}\n{body}\n"
        return RunningScript(text, network=MemoryNetwork())


def invite(call_id: str = "one", *, uri: str = "sip:bob@example.com", more: str = "") -> str:
    """A request of nobody in particular."""
    return (
        f"INVITE {uri} SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{call_id}\nFrom: <sip:alice@a.com>;tag=x\n"
        f"To: <sip:bob@b.com>\nCall-ID: {call_id}\nCSeq: 1 INVITE\n{more}Content-Length: 0\n\n"
    )


def listed(script: RunningScript, *, partition: int = 0) -> list[tuple[str, str]]:
    """URI and state of all destinations, as `ds_list` shows them."""
    shown = script.mi("ds_list")
    sets = shown["PARTITIONS"][partition].get("SETS", [])  # type: ignore[index]  # JSON
    return [(one["URI"], one["state"]) for each in sets for one in each["Destinations"]]
