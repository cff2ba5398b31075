"""Diagnostics as a SARIF log, the format of code scanning services.

Source: OASIS "Static Analysis Results Interchange Format (SARIF) Version 2.1.0"; section numbers below are of it.
The run says that columns are Unicode code points (section 3.14.17), which is how a `Span` counts them; as there, an
end column is one past the last character (section 3.30.8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from urllib.parse import quote

from .diagnostics import Diagnostic
from .excerpt import safe
from .explain import EXPLANATIONS
from .source import Span

Json: TypeAlias = "str | int | Sequence[Json] | Mapping[str, Json]"

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif_log(diagnostics: Sequence[Diagnostic]) -> dict[str, Json]:
    """One run with one result for each diagnostic; its rules are the codes that occur (section 3.19.23)."""
    codes = sorted({diagnostic.code for diagnostic in diagnostics})
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "miscript", "rules": [_rule(code) for code in codes]}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(diagnostic, codes.index(diagnostic.code)) for diagnostic in diagnostics],
            }
        ],
    }


def _rule(code: str) -> dict[str, Json]:
    rule: dict[str, Json] = {
        "id": code,
        "defaultConfiguration": {"level": "warning" if code.startswith("W") else "error"},
    }
    if explanation := EXPLANATIONS.get(code):
        rule["shortDescription"] = {"text": explanation.title}
        rule["fullDescription"] = {"text": explanation.text}
    return rule


def _result(diagnostic: Diagnostic, rule_index: int) -> dict[str, Json]:
    text = "\n".join(safe(line) for part in (diagnostic.message, diagnostic.help) if part for line in part.splitlines())
    result: dict[str, Json] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule_index,
        "level": diagnostic.severity,
        "message": {"text": text},
        "locations": [{"physicalLocation": _physical_location(diagnostic.span)}],
    }
    related: list[Json] = [
        {"physicalLocation": _physical_location(note.span), "message": {"text": safe(note.message)}}
        for note in diagnostic.notes
        if note.span is not None
    ]
    return result | ({"relatedLocations": related} if related else {})


def _physical_location(span: Span) -> dict[str, Json]:
    return {
        "artifactLocation": {"uri": _uri(span.file.name)},
        "region": {
            "startLine": span.line,
            "startColumn": span.column,
            "endLine": span.end_line,
            "endColumn": span.end_column,
        },
    }


def _uri(name: str) -> str:
    """A file's name as a URI reference: relative names stay relative (section 3.4.3)."""
    path = quote(name.encode("utf-8", "surrogateescape"))
    return f"file://{path}" if path.startswith("/") else path
