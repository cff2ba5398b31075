"""`miscript mi`: run a command of a live node and show what it says."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from ..client.blocking import BlockingClient
    from ..client.nodes import Node

COMPLETION_SECONDS: Final = 1.0
MI_ERROR, USAGE, UNREACHABLE = 1, 2, 3


def complete_words(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The node's commands, or the parameter names of the command that is there already.

    A node that does not answer completes nothing; a shell that hangs would be worse.
    """
    try:
        with _client(ctx.params.get("at"), COMPLETION_SECONDS, insecure=False, retries=0) as node:
            command = ctx.params.get("command")
            if param.name == "command" or not command:
                return [CompletionItem(name) for name in node.call("which") if name.startswith(incomplete)]
            given = {word.partition("=")[0] for word in ctx.params.get("words") or ()}
            recipes = node.call("which", [command])
            names = dict.fromkeys(name for recipe in recipes for name in recipe if name not in given)
            return [CompletionItem(f"{name}=") for name in names if name.startswith(incomplete)]
    except Exception:
        return []


def complete_nodes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names in the file of nodes."""
    from ..client.nodes import node_names

    return [CompletionItem(name) for name in node_names(dict(os.environ)) if name.startswith(incomplete)]


@click.command("mi", context_settings={"ignore_unknown_options": True})
@click.option(
    "--at",
    envvar="MISCRIPT_AT",
    metavar="URL|NAME",
    shell_complete=complete_nodes,
    help="The node: http(s)://host:port/mi, fifo:/path, udp:host:port, unix:/path, or a name from the file of nodes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, also on a terminal.")
@click.option("-j", "--json-values", is_flag=True, help="Take ARGs that are JSON as JSON: numbers, lists.")
@click.option("--positional", is_flag=True, help="No ARG has a name, whatever it looks like.")
@click.option("--watch", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Again every so many seconds.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long to wait for the answer (10).",
)
@click.option("--insecure", is_flag=True, help="Do not verify the certificate of an HTTPS node.")
@click.argument("command", shell_complete=complete_words)
@click.argument(
    "words", nargs=-1, type=click.UNPROCESSED, metavar="[ARG | NAME=VALUE]...", shell_complete=complete_words
)
def command(
    at: str | None,
    as_json: bool,
    json_values: bool,
    positional: bool,
    watch: float | None,
    timeout: float | None,
    insecure: bool,
    command: str,
    words: tuple[str, ...],
) -> None:
    """Run the MI command COMMAND on a node.

    The result is printed as tables on a terminal, as JSON elsewhere.  ARGs are given by position, or all of them by
    name.  The node is --at, else the environment variable MISCRIPT_AT, else the default of
    ~/.config/miscript/nodes.toml, else a FIFO of OpenSIPS at its usual place, else http://127.0.0.1:8888/mi.

    The exit status is 0 when the command succeeded, 1 when it answered with an error, 2 for wrong usage, 3 when the
    node was not reached or did not answer.
    """
    from ..errors import ClientError, ConnectError, MIError
    from .mi_words import MixedWordsError, parameters

    if command.startswith("-"):
        raise click.NoSuchOption(command)
    try:
        params = parameters(command, words, json=json_values, positional=positional)
    except MixedWordsError as error:
        raise click.UsageError(str(error)) from None
    tables = not as_json and sys.stdout.isatty()
    try:
        with _client(at, timeout, insecure=insecure) as node:
            if watch is None:
                _show(node.call(command, params), tables)
            else:
                _watch(node, command, params, tables, watch)
    except MIError as error:
        _complain(error)
        sys.exit(MI_ERROR)
    except ClientError as error:
        click.echo(f"miscript: {error}", err=True)
        if isinstance(error, ConnectError) and at is None:
            click.echo(
                "help: --at URL says where the node is; its script needs mi_http, mi_fifo or mi_datagram", err=True
            )
        sys.exit(UNREACHABLE)
    except KeyboardInterrupt:
        sys.exit(0 if watch is not None else 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _client(at: str | None, timeout: float | None, *, insecure: bool, retries: int | None = None) -> BlockingClient:
    """A client of the node that was asked for."""
    from ..client.blocking import BlockingClient
    from ..client.exchange import DEADLINE, RETRIES
    from ..client.nodes import NodeError, find_node

    try:
        node: Node = find_node(at, dict(os.environ))
        return BlockingClient(
            node.url,
            deadline=timeout or node.timeout or DEADLINE,
            retries=RETRIES if retries is None else retries,
            token=node.token,
            tls=node.tls(insecure),
        )
    except (NodeError, ValueError) as error:
        raise click.UsageError(str(error)) from None


def _complain(error: Any) -> None:
    detail = "" if error.data is None else f"\n{error.data if isinstance(error.data, str) else _json(error.data)}"
    click.echo(f"error {error.code}: {error.message}{detail}", err=True)


def _json(value: object, indent: bool = False) -> str:
    import json

    from ..client.messages import dumps
    from ..values import encode

    if indent:
        return encode(json.dumps(value, ensure_ascii=False, indent=2)).decode("utf-8", "replace")
    return dumps(value).decode("utf-8", "replace")


def _show(result: object, tables: bool) -> None:
    if not tables:
        click.echo(_json(result))
        return
    try:
        from .mi_tables import print_tables
    except ImportError:  # rich is an extra
        click.echo(_json(result, indent=True))
        return
    print_tables(result)


def _watch(node: BlockingClient, command: str, params: Any, tables: bool, seconds: float) -> None:
    """Show the result again and again; an error is shown in its place and does not end it."""
    from ..errors import ClientError, MIError

    while True:
        due = time.monotonic() + seconds
        try:
            result: object = node.call(command, params)
        except (MIError, ClientError) as error:
            result = {"error": str(error)}
        if tables:
            click.clear()
            click.echo(f"{command}, every {seconds:g} s, {time.strftime('%H:%M:%S')}\n")
        _show(result, tables)
        sys.stdout.flush()
        time.sleep(max(0.0, due - time.monotonic()))
