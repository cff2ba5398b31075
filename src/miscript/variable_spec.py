"""Variables that a module parameter names, such as `modparam("auth", "username_spec", "$var(user)")`.

`$avp(name)` and `$var(name)` are read and written directly, whatever the script does with them; every other variable
is read as `{s.eval}` would.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .late_pattern import late_pattern
from .script.avps import avp_assign
from .values import Value, text_of

if TYPE_CHECKING:
    from .script.runtime import Run

_SPEC = late_pattern(r"\$(?P<kind>avp|var)\((?P<name>[^()\s$]+)\)|\$[A-Za-z].*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class VariableSpec:
    """One variable; `kind` is "avp", "var" or "" for all others, and `name` what stands inside."""

    text: str
    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> VariableSpec:
        """Read the value of a parameter.  Raises ValueError when it is no variable."""
        found = _SPEC.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"expected a variable such as $avp(name), found '{text}'")
        return cls(text.strip(), found["kind"] or "", found["name"] or "")

    @classmethod
    def parse_avp(cls, text: str) -> VariableSpec:
        """The same for a parameter that must be an AVP.  Raises ValueError."""
        found = cls.parse(text)
        if found.kind != "avp":
            raise ValueError(f"expected an AVP such as $avp(name), found '{text}'")
        return found

    def get(self, run: Run) -> Value:
        """Its value now."""
        match self.kind:
            case "avp":
                values = run.avps.get(self.name)
                return values[-1] if values else None
            case "var":
                slot = run.script.symbols.slot(self.name)
                return run.vars[slot] if slot < len(run.vars) else None
            case _:
                value = run.script.evaluate(run, self.text)
                return None if value is None or value == text_of(None) else value

    def set(self, run: Run, value: Value) -> bool:
        """Give it another value; False for one that cannot be written here."""
        match self.kind:
            case "avp":
                return avp_assign(run.avps, self.name, None, ":=", value)
            case "var":
                slot = run.script.symbols.slot(self.name)
                run.vars.extend([None] * (slot + 1 - len(run.vars)))
                run.vars[slot] = value
                return True
            case _:
                return False
