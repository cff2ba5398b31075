"""`miscript check`: the mistakes of scripts."""

from __future__ import annotations

import sys
from typing import cast

import click

FORMATS = ("full", "concise", "json", "github", "sarif")


@click.command("check")
@click.argument("files", nargs=-1, type=click.Path(dir_okay=False))
@click.option("--format", "form", type=click.Choice(FORMATS), default="full", show_default=True)
@click.option("--explain", metavar="CODE", help="Explain an error code, for example E302.")
@click.option("-p", "--preprocessor", metavar="COMMAND", help="Send each file through COMMAND before reading it.")
@click.option("--run", "for_run", is_flag=True, help="Also refuse what OpenSIPS has and miscript has not yet.")
def command(files: tuple[str, ...], form: str, explain: str | None, preprocessor: str | None, for_run: bool) -> None:
    """Check the scripts FILES without running them.

    The exit status is 0 when all are clean (warnings do not count), 1 when there are errors, 2 for wrong usage.
    """
    if explain is not None:
        from ..script.explain import EXPLANATIONS
        from ..script.explain import explain as explanation

        if explain.upper() not in EXPLANATIONS:
            raise click.BadParameter(explanation(explain), param_hint="'--explain'")
        click.echo(explanation(explain))
        return
    if not files:
        raise click.UsageError("give the files to check, or --explain CODE")
    from ..host.loading import Source, check_source
    from ..script.diagnostics import Diagnostic, Diagnostics
    from ..script.render import Format, render

    found: list[Diagnostic] = []
    for file in files:
        diagnostics = Diagnostics()
        check_source(Source(file, None, preprocessor), diagnostics, run=for_run)
        found.extend(diagnostics)
    text = render(found, cast(Format, form), color=form == "full" and sys.stdout.isatty())
    if text:
        click.echo(text, nl=False)
    sys.exit(1 if any(d.severity == "error" for d in found) else 0)
