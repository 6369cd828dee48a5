"""`submissions`, or `python -m shared.cli`: the command line for operators, administrators and pipelines.

How a command is added: write `shared/cli/<noun>.py` with a `click.command` that takes `session: Session` by
`@click.pass_obj`, and put one line into `COMMANDS`: its name, where it is, and the first sentence of its docstring (a
test holds the two together). Reading goes through `session.connect()`, showing through `session.output`; what goes
wrong is raised as `CommandError`, anything else is explained by `errors.explained`, and `ctx.exit(code)` ends early.
The invariant: `--help` imports no command, because a shell completes names with every Tab.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import click

from .connection import ACCOUNT_VARIABLE, Connection, choose_place, open_connection
from .errors import ExitCode, explained
from .output import FORMS, Form, Output, choose_output, tell

DEBUG_VARIABLE = "SUBMISSIONS_DEBUG"
BROKEN_PIPE = 141
"""What a shell reports of a program that SIGPIPE ended: the reader of a pipe has seen enough."""


class Entry(NamedTuple):
    """Where a command is, as `module:attribute`, and its line in the list of commands."""

    place: str
    summary: str


COMMANDS: Final[dict[str, Entry]] = {
    "list": Entry(".listing:list_outcomes", "List reports and requests, newest first."),
    "show": Entry(".showing:show_outcome", "Show one report or request: every column, and its history."),
    "watch": Entry(".watching:watch_changes", "Watch changes of state and verdict as they come."),
    "status": Entry(".status:show_status", "Show how the app does: backlog, quota, pauses and timers."),
    "replay": Entry(".replaying:replay", "Take up again what failed or was rejected, once its cause is repaired."),
    "erase": Entry(".erasing:erase", "Have the app erase a person from every table and container."),
    "backup": Entry(".backup:backup", "Write all tables and containers to a folder, while the app goes on."),
    "restore": Entry(".backup:restore", "Write a backup into an empty account, while the app is stopped."),
    "submit": Entry(".submit:submit", "Ask for a submission of mails, URLs or files."),
    "dispute": Entry(
        ".disputing:dispute", "Dispute a verdict that said your claim was wrong: the item is submitted anew."
    ),
    "review": Entry(".reviewing:review", "Decide what a mail is that a user submitted: Microsoft tells the user."),
    "feed": Entry(".feed:feed", "Print what has changed since the last time."),
    "export": Entry(".export:export", "Write reports and requests to a file: CSV, TSV, JSON lines or Parquet."),
    "report": Entry(".report:report", "Tell whether we submit regularly, and what comes of it."),
    "statistics": Entry(".statistics:statistics", "Rebuild the table that tells what each day came to."),
    "doctor": Entry(".examining:examine", "Prove a tenant: rights, mailboxes, storage and clock, line by line."),
    "schema": Entry(".schema:print_schema", "Print the JSON schema of an operator's message."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the options that all commands share ask for."""

    account: str | None = None
    is_local: bool = False
    form: Form | None = None
    no_color: bool = False

    @property
    def output(self) -> Output:
        """How to show what was found."""
        return choose_output(self.form, is_coloured=not (self.no_color or os.environ.get("NO_COLOR")))

    def refuse_output(self, instead: str) -> None:
        """Raises `click.UsageError` where --output was given to a command that writes rows in a form of its own."""
        if self.form is not None:
            raise click.UsageError(f"--output is for screens; rows are written with {instead}")

    def connect(self) -> AbstractAsyncContextManager[Connection]:
        """The data account, for an `async with` block. Raises `click.UsageError` where none is named."""
        return open_connection(choose_place(self.account, is_local=self.is_local, environment=os.environ))


def _take(ctx: click.Context, option: click.Parameter, value: object) -> None:
    """Keep an option in the session; the last place where it was given counts."""
    session = ctx.obj or Session()
    ctx.obj = replace(session, **{str(option.name): value}) if value else session


_TAKEN: Final[dict[str, Any]] = {"callback": _take, "expose_value": False}
SHARED_OPTIONS: Final = [
    click.Option(["--account"], metavar="NAME", help=f"The data's storage account. Also {ACCOUNT_VARIABLE}.", **_TAKEN),
    click.Option(["--local", "is_local"], is_flag=True, help="Azurite, see `python -m local up`.", **_TAKEN),
    click.Option(
        ["--output", "form"], type=click.Choice(FORMS), help="Else table on a terminal, tsv in a pipe.", **_TAKEN
    ),
    click.Option(["--no-color"], is_flag=True, help="Also NO_COLOR; colours are for terminals only.", **_TAKEN),
]
"""They may stand before the command's name or behind it."""


class CommandTable(click.Group):
    """The commands of `COMMANDS`, each imported when it is called."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names; for one that is none, click suggests from what it has imported."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Their names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """The command, or None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].place.partition(":")
        command: click.Command = getattr(importlib.import_module(module, __package__), attribute)
        _share(command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of a pipe that has seen enough ends it, which click would call a failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            ctx.exit(_end_unread())

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """Write the list of commands without importing them."""
        if not COMMANDS:
            return
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


def _share(command: click.Command) -> None:
    """Let a command, and each that belongs to it, take the shared options, but for those that it has its own of."""
    own = {option.name for option in command.params}
    command.params += [option for option in SHARED_OPTIONS if option.name not in own]
    for one in command.commands.values() if isinstance(command, click.Group) else ():
        _share(one)


submissions = CommandTable(
    name="submissions",
    params=[*SHARED_OPTIONS],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help="""Ask Microsoft about mail, URLs and files, and read what came of it.

    You are signed in as yourself, for example with `az login`. `submissions COMMAND --help` has examples.
    """,
    epilog="Exit codes: 0 done; 1 some of it was refused or failed; 2 wrong use; 3 not signed in or not allowed; "
    "4 not found; 5 time ran out while waiting; 130 interrupted.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    _open_streams()
    try:
        return submissions.main(arguments, prog_name="submissions", standalone_mode=False) or ExitCode.DONE
    except click.ClickException as error:
        return _end(error)
    except click.Abort:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, a person gets one line
        try:
            sys.stdout.flush()
        except OSError:  # a full disk, say, which the interpreter would meet once more and end with a code of its own
            _drop_unwritten()
        return _end(explained(error), error)


def _open_streams() -> None:
    """Have both streams take any text: pipes and files as UTF-8, terminals with `?` for letters that they lack.

    One that is closed becomes one that nobody reads.
    """
    sys.stdout, sys.stderr = (stream or io.StringIO() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def _end(shown: click.ClickException, cause: Exception | None = None) -> int:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(cause or shown)
    lines = io.StringIO()
    shown.show(lines)
    with suppress(BrokenPipeError):
        for line in lines.getvalue().splitlines():
            tell(line)
    return shown.exit_code


def _end_unread() -> int:
    """End quietly; the interpreter would complain when it flushes standard output."""
    _drop_unwritten()
    return BROKEN_PIPE


def _drop_unwritten() -> None:
    """Let standard output go nowhere, with what it still holds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
