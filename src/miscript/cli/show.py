"""`miscript show`: what each stage makes of a script."""

from __future__ import annotations

import sys
from pathlib import Path

import click

STAGES = ("tokens", "tree", "python")


@click.command("show")
@click.argument("stage", type=click.Choice(STAGES))
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--stub", "stubs", multiple=True, metavar="MODULE", help="Let this module's functions do nothing.")
@click.option("-p", "--preprocessor", metavar="COMMAND", help="Send the file through COMMAND before reading it.")
def command(stage: str, file: str, stubs: tuple[str, ...], preprocessor: str | None) -> None:
    """Print the tokens, the tree or the Python code of FILE; the same file always gives the same text."""
    from ..script.diagnostics import Diagnostics
    from ..script.render import render

    diagnostics = Diagnostics()
    match stage:
        case "tokens":
            from ..script.preprocess import load

            for token in load(Path(file), diagnostics, preprocessor):
                click.echo(f"{token.span}: {token}")
        case "tree":
            from ..script.parser import parse_file
            from ..script.show import tree_text

            click.echo(tree_text(parse_file(Path(file), diagnostics, preprocessor)))
        case _:
            click.echo(_python(file, preprocessor, stubs))
    if diagnostics.failed:
        click.echo(render(tuple(diagnostics), "full", color=sys.stderr.isatty()), err=True)
        sys.exit(1)


def _python(file: str, preprocessor: str | None, stubs: tuple[str, ...]) -> str:
    from ..errors import ScriptError
    from ..host.host import Host
    from ..host.loading import Source
    from ..script.render import render

    host = Host(Source(file, None, preprocessor), lambda text: None, stubs=stubs)
    try:
        host.load()
    except ScriptError as error:
        click.echo(render(error.diagnostics, "full", color=sys.stderr.isatty()), err=True)
        sys.exit(1)
    return host.script.python()
