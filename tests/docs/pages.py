"""What a page of the documentation shows: its blocks of code, and the commands in them with what they print."""

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"# ([\w-]+\.(?:cfg|py))\n")


@dataclass
class Page:
    """The files that a page shows (blocks that begin with a comment holding their name), its console sessions, and
    scripts that are whole (`opensips` behind the backquotes)."""

    name: str
    files: dict[str, str] = field(default_factory=dict)
    sessions: list[tuple[str, str]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Page":
        page = cls(path.relative_to(ROOT).as_posix())
        for language, code in _BLOCK.findall(path.read_text()):
            named = _NAME.match(code)
            if language == "console":
                page.sessions += _sessions(code)
            elif language == "opensips":
                page.scripts.append(code)
            elif named is not None:
                page.files[named[1]] = code
        return page


def _sessions(code: str) -> list[tuple[str, str]]:
    """Each command of a console block (`$ miscript …`) with what stands below it."""
    parts = re.split(r"^\$ (.*)\n", code, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))
