"""`submissions review`: decide what a mail is that a user has submitted to Microsoft.

What is sent is a request of the kind `review`; the app carries it out at Microsoft, who tells the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ..domain.model import Source
from .errors import CommandError, ExitCode
from .row_request import find_row, send_request, with_request_options

if TYPE_CHECKING:
    from datetime import datetime


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
@with_request_options("until it took effect")
@click.pass_context
def review(
    ctx: click.Context, /, *, sought: str, category: str, reason: str | None, day: datetime | None, **options: Any
) -> None:
    """Decide what a mail is that a user submitted to Microsoft: Microsoft tells the user.

    ID is as for show. To decide anew as you did before, give a new --request-id.
    """
    row = find_row(ctx.obj, sought, day)
    check_reviewable(row)
    submission_id = str(row["RowKey"])
    told = {} if reason is None else {"reason": reason}
    fields = {"category": category, **told, "review": {"submissionId": submission_id}}
    ctx.exit(send_request(ctx.obj, "review", f"review of {submission_id[:12]}", fields, options))


def check_reviewable(row: Mapping[str, Any]) -> None:
    """Raises `CommandError` where the row is not of a mail that a user brought to Microsoft."""
    if row.get("Source") == Source.MICROSOFT and "GraphSubmissionId" in row:
        return
    told = "only what a user submitted to Microsoft, Source microsoft, can be reviewed"
    raise CommandError(f"{row['RowKey']} has the Source {row.get('Source')}: {told}", ExitCode.PARTLY_DONE)
