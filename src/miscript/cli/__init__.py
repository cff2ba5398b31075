"""The command line: `miscript run`, `check`, `show`, …

Each command lives in a file of its own, which is imported when the command is used, so that `--help` is quick.
"""

from __future__ import annotations

import gc
import importlib
import os

import click

COLLECTIONS = (20_000, 25, 10)
"""When Python looks for cycles.  Scripts are read without leaving any, and so are calls, which live for seconds.  To
look at the young objects each 700, as it does by itself, costs a third of the time of `check`, or of a busy proxy."""

COMMANDS = {
    "run": "Run a script.",
    "check": "Find the mistakes in scripts, without running them.",
    "mi": "Run a command of a live node.",
    "trace": "See what is traced.",
    "db": "Make the tables of modules in a database.",
    "show": "Print what a stage makes of a script.",
}


class Commands(click.Group):
    """Finds each command in its module; the short helps are known without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f".{cmd_name}", __name__).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from ..script.suggest import near

            help = near(args[0], COMMANDS) or (
                "to run it, write  miscript run FILE" if os.path.isfile(args[0]) else None
            )
            if help is not None:
                ctx.fail(f"No such command '{args[0]}': {help}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _tell_version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted:
        from ..release import version

        click.echo(f"miscript, version {version()}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_version,
    help="Show the version and exit.",
)
def main() -> None:
    """The OpenSIPS routing script and its Management Interface."""
    gc.set_threshold(*COLLECTIONS)
