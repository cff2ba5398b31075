"""The text that Prometheus reads: names, labels, values (text exposition format 0.0.4).

A `Page` collects samples family by family and writes them; families keep the order in which they came.  Names are
made valid: what a metric's name may not have becomes `_`.

Source: prometheus.io, "Exposition formats".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

_NO_NAME: Final = re.compile(r"[^a-zA-Z0-9_:]")
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


def metric_name(text: str) -> str:
    """`text` as the name of a metric."""
    name = _NO_NAME.sub("_", text)
    return f"_{name}" if not name or name[0].isdigit() else name


def label_text(labels: Mapping[str, str]) -> str:
    """Labels as they stand between the braces."""
    return ",".join(f'{metric_name(name)}="{value.translate(_ESCAPES)}"' for name, value in labels.items())


@dataclass(slots=True)
class _Family:
    kind: str
    help: str
    samples: dict[str, str] = field(default_factory=dict)
    """What stands in front of the value → the value; the last one counts."""


class Page:
    """One answer to Prometheus."""

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}
        self._verbatim: list[str] = []

    def declare(self, name: str, kind: str, help: str = "") -> None:
        """Begin a family of `kind` counter, gauge or summary; a second time nothing happens."""
        self._families.setdefault(name, _Family(kind, help))

    def sample(self, family: str, value: float, labels: str = "", suffix: str = "") -> None:
        """Add a sample to a family; `labels` as `label_text` gives them."""
        braces = f"{{{labels}}}" if labels else ""
        self._families[family].samples[f"{family}{suffix}{braces}"] = _number(value)

    def verbatim(self, line: str) -> None:
        """Add a line of the script's own."""
        self._verbatim.append(line)

    def render(self) -> bytes:
        """The whole text; families without samples are left out."""
        lines: list[str] = []
        for name, family in self._families.items():
            if not family.samples:
                continue
            if family.help:
                text = family.help.replace("\\", "\\\\").replace("\n", "\\n")
                lines.append(f"# HELP {name} {text}")
            lines.append(f"# TYPE {name} {family.kind}")
            lines += [f"{front} {value}" for front, value in family.samples.items()]
        lines += self._verbatim
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.9g}"
