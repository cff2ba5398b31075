"""A script that has been checked: the tree, and what every name in it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .nodes import Call, GlobalParameter, LoadModule, ModuleParameter, Route, Script, String, Template
from .signatures import Catalog, Function, ModuleSignature, Parameter
from .source import Span


@dataclass(frozen=True, slots=True)
class ResolvedCall:
    """The function that a call means, and which of its forms."""

    function: Function
    form: tuple[Parameter, ...]


@dataclass(slots=True)
class Program:
    """What the checker hands to the compiler and the host.

    `calls` and `templates` are keyed by `id()` of the node; the nodes live as long as `script`.
    """

    name: str
    script: Script
    catalog: Catalog
    calls: Mapping[int, ResolvedCall] = field(default_factory=dict)
    templates: Mapping[int, Template] = field(default_factory=dict)
    modules: list[ModuleSignature] = field(default_factory=list)
    parameters: dict[str, int | str] = field(default_factory=dict)
    module_parameters: list[tuple[str, ModuleParameter]] = field(default_factory=list)

    @property
    def routes(self) -> list[Route]:
        return [item for item in self.script.items if isinstance(item, Route)]

    @property
    def globals(self) -> list[GlobalParameter]:
        return [item for item in self.script.items if isinstance(item, GlobalParameter)]

    @property
    def loaded(self) -> list[str]:
        """The names of the modules that the script loads, in its order."""
        return [item.name for item in self.script.items if isinstance(item, LoadModule)]

    def load_span(self, module: str) -> Span:
        """Where `module` is loaded; the start of the script for the core."""
        for item in self.script.items:
            if isinstance(item, LoadModule) and item.name == module:
                return item.span
        return self.script.span

    def call(self, node: Call) -> ResolvedCall:
        return self.calls[id(node)]

    def template(self, node: String) -> Template:
        """The text with its variables; for a text without any, the text alone."""
        return self.templates.get(id(node)) or Template((node.value,) if node.value else ())
