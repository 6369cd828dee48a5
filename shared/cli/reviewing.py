"""`submissions review`: decide what a mail is that a user has submitted to Microsoft.

What is sent is a request of the kind `review`; the app carries it out at Microsoft, who tells the user.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ..domain.model import Source
from .errors import CommandError, ExitCode
from .moments import MOMENT
from .showing import Sought, days_to_search, find_one
from .submit import REQUESTED_BY, WAIT_S, Seconds, requester

if TYPE_CHECKING:
    from datetime import datetime

    from ..ports import Entity
    from .__main__ import Session


@click.command(
    "review",
    epilog="""\b
Examples:
  submissions review 1f0c9a52d17b --as phishing --wait
  submissions review 1f0c9a52d17b --as notJunk --reason "our own newsletter\"""",
)
@click.argument("sought", metavar="ID")
@click.option(
    "--as", "category", required=True, type=click.Choice(("phishing", "malware", "spam", "notJunk")), help="What it is."
)
@click.option("--reason", metavar="TEXT", help="Why, for whoever reads the outcome; at most 500 characters.")
@click.option("--day", type=MOMENT, help="The UTC day the row was received; as for show.")
@click.option("--requested-by", metavar="ADDRESS", envvar=REQUESTED_BY, help="Else who is signed in.")
@click.option("--request-id", metavar="ID", help="Your own name for the request; else made from its content.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent; send nothing.")
@click.option(
    "--wait",
    type=Seconds(min=0),
    is_flag=False,
    flag_value=WAIT_S,
    metavar="[SECONDS]",
    help=f"Follow until it took effect, {WAIT_S:.0f} seconds unless said otherwise: --wait=60, or put it last.",
)
@click.pass_context
def review(ctx: click.Context, /, *, sought: str, day: datetime | None, **options: Any) -> None:
    """Decide what a mail is that a user submitted to Microsoft: Microsoft tells the user.

    ID is as for show. To decide anew as you did before, give a new --request-id.
    """
    row = asyncio.run(_row(ctx.obj, Sought(sought), day))
    check_reviewable(row)
    ctx.exit(_carry_out(ctx.obj, str(row["RowKey"]), options))


async def _row(session: Session, sought: Sought, day: datetime | None) -> Entity:
    async with session.connect() as connection:
        return await find_one(connection.table("outcomes"), sought, days_to_search(day))


def check_reviewable(row: Mapping[str, Any]) -> None:
    """Raises `CommandError` where the row is not of a mail that a user brought to Microsoft."""
    if row.get("Source") == Source.MICROSOFT and "GraphSubmissionId" in row:
        return
    told = "only what a user submitted to Microsoft, Source microsoft, can be reviewed"
    raise CommandError(f"{row['RowKey']} has the Source {row.get('Source')}: {told}", ExitCode.PARTLY_DONE)


def _carry_out(session: Session, submission_id: str, options: Mapping[str, Any]) -> int:
    from .orders import Order, carry_out  # noqa: PLC0415 - dear, and --help needs none of it
    from .requests import Draft  # noqa: PLC0415 - as above

    names = {
        "category": options["category"],
        "reason": options["reason"],
        "requestedBy": requester(session, options),
        "requestId": options["request_id"],
    }
    order = Order(
        kind="review",
        defaults={name: value for name, value in names.items() if value is not None},
        is_dry_run=options["dry_run"],
        all_or_nothing=False,
        again=False,
        wait_s=options["wait"],
    )
    draft = Draft(f"review of {submission_id[:12]}", {"review": {"submissionId": submission_id}})
    return carry_out(order, lambda: iter([draft]), session.output, session.connect)
