"""`submissions submit email | url | file`: ask for submissions, one or many thousand at a time.

The options say what holds for all requests; arguments or the lines of a file say what each one is about. What runs is
in `orders`, which is imported when it runs: the codec is the dearest import of the product.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .connection import choose_place

if TYPE_CHECKING:
    from .__main__ import Session
    from .requests import Draft

Command = TypeVar("Command", bound=Callable[..., Any])

REQUESTED_BY = "SUBMISSIONS_REQUESTED_BY"
WAIT_S = 1_800.0


class Seconds(click.FloatRange):
    """A number of seconds, by a name that a person understands."""

    name = "number of seconds; put --wait last, or write --wait=60"


class SharingGroup(click.Group):
    """A command with commands below it, which take the options that all commands share too."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command below this one, or None."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            own = {param.name for param in command.params}
            command.params += [param for param in self.params if param.name not in own]
        return command


@click.group(cls=SharingGroup)
def submit() -> None:
    """Ask for a submission of mails, URLs or files.

    Everything is checked first, as the app will check it, and what is refused is named; then the rest is sent. The
    same request is sent once, however often the command runs.
    """


def _options(categories: Sequence[str]) -> Callable[[Command], Command]:
    """The options of every kind, in the order in which help shows them."""
    options = (
        click.option("--category", type=click.Choice(categories), help="What it is; needed, here or in the file."),
        click.option("--requested-by", metavar="ADDRESS", envvar=REQUESTED_BY, help="Else who is signed in."),
        click.option("--reason", metavar="TEXT", help="Why, for whoever reads the outcome; at most 500 characters."),
        click.option("--priority", type=click.Choice(("urgent", "normal", "low")), default="urgent", show_default=True),
        click.option("--request-id", metavar="ID", help="Your own name for one request; else made from its content."),
        click.option(
            "--from-file",
            type=click.Path(exists=True, dir_okay=False, allow_dash=True),
            help="CSV whose header names the message's fields, or JSON lines; - reads standard input.",
        ),
        click.option("--dry-run", is_flag=True, help="Say what would be sent and refused; send nothing."),
        click.option("--all-or-nothing", is_flag=True, help="Send nothing where anything is refused."),
        click.option("--again", is_flag=True, help="Send also what was sent before; its row stays the one it has."),
        click.option(
            "--wait",
            type=Seconds(min=0),
            is_flag=False,
            flag_value=WAIT_S,
            metavar="[SECONDS]",
            help=f"Follow to the verdict, {WAIT_S:.0f} seconds unless said otherwise: --wait=60, or put it last.",
        ),
    )

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@submit.command(
    epilog="""\b
Examples:
  submissions submit email lure.eml --category phishing --recipient a@b.test
  submissions submit email --mailbox bob@contoso.com --message-id AAMkAGI2 \\
      --recipient bob@contoso.com --category malware --wait"""
)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--mailbox", metavar="ADDRESS", help="The mailbox that holds the mail of an id.")
@click.option("--message-id", "message_ids", multiple=True, metavar="ID", help="Graph's id of a mail; may be repeated.")
@click.option("--internet-message-id", "internet_ids", multiple=True, metavar="ID", help="Its Message-ID, with <>.")
@click.option("--recipient", metavar="ADDRESS", help="Who got the mail; else whom alone an uploaded mail names.")
@click.option("--allow", "action", flag_value="allow", help="Also ask for an allow entry; only with notJunk.")
@click.option("--block", "action", flag_value="block", help="Also ask for a block entry; not with notJunk.")
@click.option(
    "--expires", metavar="WHEN", help="When the entry ends: 14d, 2026-12-20 or a time; at most 30 days ahead."
)
@click.option("--note", metavar="TEXT", help="A note on the entry; at most 200 characters.")
@_options(("phishing", "malware", "spam", "notJunk"))
@click.pass_context
def email(
    ctx: click.Context,
    /,
    *,
    paths: tuple[str, ...],
    mailbox: str | None,
    message_ids: tuple[str, ...],
    internet_ids: tuple[str, ...],
    recipient: str | None,
    action: str | None,
    expires: str | None,
    note: str | None,
    **options: Any,
) -> None:
    """Submit mails, by their files or by their ids.

    Files are .eml or .msg; ids are of mails in one mailbox. An uploaded mail's recipient is taken from its own headers
    where --recipient is missing and they name one address only; the command says so.
    """
    ends = None if expires is None else expiry(expires, datetime.now(UTC))
    entry = _given(action=action, expiresAt=ends, note=note)
    named = [{"message": _given(mailbox=mailbox, messageId=one)} for one in message_ids]
    named += [{"message": _given(mailbox=mailbox, internetMessageId=one)} for one in internet_ids]
    items = [*_paths(paths), *named]
    ctx.exit(_carry_out(ctx.obj, "email", items, options, _given(recipient=recipient, allowOrBlock=entry or None)))


@submit.command(
    epilog="""\b
Examples:
  submissions submit url https://login-portal.example/ --category phishing
  submissions submit url --from-file urls.csv --category phishing --dry-run
  submissions submit url --refang 'hxxps://lure[.]test' --category phishing"""
)
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option("--refang", is_flag=True, help="Take defanged URLs as they were, and say how; else they are refused.")
@_options(("phishing", "malware", "notJunk"))
@click.pass_context
def url(ctx: click.Context, /, *, urls: tuple[str, ...], **options: Any) -> None:
    """Submit URLs."""
    ctx.exit(_carry_out(ctx.obj, "url", [{"url": one} for one in urls], options, {}))


@submit.command(
    epilog="""\b
Examples:
  submissions submit file invoice.htm --category malware --reason "case 4711"
  submissions submit file samples/* --category malware --priority low"""
)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@_options(("phishing", "malware", "notJunk"))
@click.pass_context
def file(ctx: click.Context, /, *, paths: tuple[str, ...], **options: Any) -> None:
    """Submit files.

    Each is uploaded, may have 3 MB, and never opened here.
    """
    ctx.exit(_carry_out(ctx.obj, "file", _paths(paths), options, {}))


def expiry(text: str, now: datetime) -> str:
    """The time that an option names, as the message has it: `14d` is the midnight (UTC) 14 days after today's.

    Midnights, so that the same command on the same day is the same request. What is none of the forms stays as it is,
    and the codec refuses it.
    """
    if text.endswith("d") and text[:-1].isdecimal() and len(text) < 5:
        return (now.date() + timedelta(days=int(text[:-1]))).strftime("%Y-%m-%dT00:00:00Z")
    return f"{text}T00:00:00Z" if len(text) == len("2026-12-20") else text


def _carry_out(
    session: Session, kind: str, items: list[dict[str, Any]], options: dict[str, Any], fields: Mapping[str, Any]
) -> int:
    from .orders import Order, carry_out, open_drafts  # noqa: PLC0415 - dear, and --help needs none of it

    _check_use(items, options)
    given = _given(category=options["category"], reason=options["reason"], priority=options["priority"])
    order = Order(
        kind=kind,
        defaults={
            **given,
            **fields,
            **_given(requestedBy=requester(session, options), requestId=options["request_id"]),
        },
        is_dry_run=options["dry_run"],
        all_or_nothing=options["all_or_nothing"],
        again=options["again"],
        wait_s=options["wait"],
        is_refanging=options.get("refang", False),
    )
    if options["from_file"] is None:
        return carry_out(order, lambda: _drafts(items), session.output, session.connect)
    with open_drafts(options["from_file"]) as drafts:
        return carry_out(order, drafts, session.output, session.connect)


def _check_use(items: Sequence[object], options: Mapping[str, Any]) -> None:
    """Raises `click.UsageError` where the options cannot be meant so."""
    has_file = options["from_file"] is not None
    if bool(items) == has_file:
        raise click.UsageError("name what to submit, by arguments or by --from-file" + ", not by both" * has_file)
    if options["category"] is None and not has_file:
        raise click.UsageError("Missing option '--category'.")
    if options["request_id"] and (has_file or len(items) > 1):
        raise click.UsageError("--request-id names one request; in a file each line may have its own")


def requester(session: Session, options: Mapping[str, Any]) -> str | None:
    """Who asks: as the option says, else who is signed in; None where only the file's lines can tell."""
    if options["requested_by"]:
        return str(options["requested_by"])
    access = choose_place(session.account, is_local=session.is_local, environment=os.environ)
    if access.connection_string is None:
        from .signed_in import signed_in_address  # noqa: PLC0415 - as above

        found = asyncio.run(signed_in_address())
        if found is not None:
            return found
    if options.get("from_file") is None:
        raise click.UsageError(f"who asks? Give --requested-by ADDRESS, or set {REQUESTED_BY}")
    return None


def _paths(paths: Sequence[str]) -> list[dict[str, Any]]:
    return [{"path": one} for one in paths]


def _drafts(items: Sequence[Mapping[str, Any]]) -> Iterator[Draft]:
    from .requests import Draft  # noqa: PLC0415 - as above

    for number, item in enumerate(items, 1):
        yield Draft(f"{item['path']} (argument {number})" if "path" in item else f"argument {number}", item)


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
