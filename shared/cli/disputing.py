"""`submissions dispute`: ask Microsoft anew about an item whose verdict said that the claim was wrong.

What is sent is a request like any other, made from the row: the same item in the same claim, with the field `disputes`.
A mail's octets are not in its row, so they are given again, or fetched by the app from a mailbox that it may read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..domain.model import Agreement, Kind
from ..domain.text import LIMIT
from .errors import CommandError, ExitCode
from .row_request import find_row, send_request, with_request_options

if TYPE_CHECKING:
    from datetime import datetime


@click.command(
    "dispute",
    epilog="""\b
Examples:
  submissions dispute case-4711 --reason "asks for the password" --wait
  submissions dispute 1f0c9a52d17b --reason "a lure" --path lure.eml""",
)
@click.argument("sought", metavar="ID")
@click.option("--reason", required=True, metavar="TEXT", help="Why Microsoft is wrong; at most 500 characters.")
@click.option(
    "--path", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="The mail or file, to send it again."
)
@click.option("--mailbox", metavar="ADDRESS", help="Or a mailbox that holds the mail and that the app may read.")
@with_request_options("to the verdict")
@click.pass_context
def dispute(
    ctx: click.Context,
    /,
    *,
    sought: str,
    reason: str,
    path: str | None,
    mailbox: str | None,
    day: datetime | None,
    **options: Any,
) -> None:
    """Dispute a verdict that said your claim was wrong: the item is submitted anew.

    ID is as for show. The new row names the old one in `Disputes`, and `show` tells either of the other.
    """
    if path is not None and mailbox is not None:
        raise click.UsageError("--path and --mailbox name two places: give one of them")
    row = find_row(ctx.obj, sought, day)
    check_disputable(row)
    item = disputed_item(row, None if path is None else Path(path), mailbox)
    origin = f"dispute of {str(row['RowKey'])[:12]}"
    ctx.exit(send_request(ctx.obj, str(row.get("Kind")), origin, {**item, "reason": reason}, options))


def check_disputable(row: Mapping[str, Any]) -> None:
    """Raises `CommandError` where the row has no verdict that refuted its claim."""
    if row.get("Agreement") == Agreement.REFUTED:
        return
    stands = f"{row['State']}, its claim {row['Agreement']}" if "Agreement" in row else str(row["State"])
    raise CommandError(
        f"{row['RowKey']} is {stands}: only a verdict that refuted the claim can be disputed", ExitCode.PARTLY_DONE
    )


def disputed_item(row: Mapping[str, Any], path: Path | None, mailbox: str | None) -> dict[str, Any]:
    """The fields of a request for the row's item in the row's claim, `path` among them where content is given again.

    Raises `CommandError` where the row does not say enough and neither `path` nor `mailbox` makes up for it.
    """
    claim = {"category": row.get("Category"), "disputes": row["RowKey"]}
    match row.get("Kind"):
        case Kind.URL:
            return {**claim, "url": _whole_url(row)}
        case Kind.FILE:
            name = {"name": row.get("FileName")}
            return {**claim, "file": name, "path": str(path)} if path else {**claim, "file": _uploaded_file(row)}
        case _:
            return {**claim, "recipient": row.get("Recipient"), **_mail(row, path, mailbox)}


def _whole_url(row: Mapping[str, Any]) -> str:
    url = str(row.get("Url", ""))
    if len(url) >= LIMIT:
        told = "its row holds the beginning of the URL only: send it with `disputes` by `submit url --from-file`"
        raise CommandError(told, ExitCode.WRONG_USE)
    return url


def _uploaded_file(row: Mapping[str, Any]) -> dict[str, Any]:
    """The file where `submit file` uploaded it, which names a blob by its content."""
    if "FileSha256" not in row:
        raise CommandError("its row does not tell the file's content: give it with --path FILE", ExitCode.WRONG_USE)
    return {"name": row.get("FileName"), "content": f"content/{row['FileSha256']}"}


def _mail(row: Mapping[str, Any], path: Path | None, mailbox: str | None) -> dict[str, Any]:
    if path is not None:
        return {"path": str(path)}
    if mailbox is None or "InternetMessageId" not in row:
        told = "a row does not hold its mail: give it with --path MAIL.eml"
        also = ", or name with --mailbox one that holds it and that the app may read"
        raise CommandError(told + (also if "InternetMessageId" in row else ""), ExitCode.WRONG_USE)
    return {"message": {"mailbox": mailbox, "internetMessageId": row["InternetMessageId"]}}
