"""`submissions doctor`: prove a tenant, line by line, with the command line's own options.

The doctor itself is `shared/doctor`, which a clone also runs as `python -m shared.doctor`; lines and exit codes are the
same.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from .connection import ACCOUNT_VARIABLE, choose_place

if TYPE_CHECKING:
    from .__main__ import Session


@click.command("doctor")
@click.option("--in-app", is_flag=True, help="Let the deployed app run it with its own identity; so does --account.")
@click.option("--write", is_flag=True, help="Also try effects; nothing of them stays behind.")
@click.option("--control-mailbox", metavar="ADDRESS", help="A mailbox that the app must not be able to read.")
@click.pass_context
def examine(ctx: click.Context, /, *, in_app: bool, write: bool, control_mailbox: str | None) -> None:
    """Prove a tenant: rights, mailboxes, storage and clock, line by line.

    With an account, the deployed app examines itself and this command waits for it. Else it runs here, with the
    settings of the environment, or of local.settings.json with --local.

    \b
    Examples:
      submissions doctor --account stcontosodata --write
      submissions doctor --local --write
    """  # noqa: D301 - \b keeps click from joining the lines
    from ..doctor.command import main  # noqa: PLC0415 - dear, and `--help` does without

    session: Session = ctx.obj
    if session.form not in {None, "table", "json"}:
        raise click.UsageError("the doctor shows a table, or json with --output json")
    has_account = bool(session.account or (os.environ.get(ACCOUNT_VARIABLE) and not session.is_local))
    chosen = [
        "--output=json" if session.form == "json" else "--output=text",
        *(["--local"] if session.is_local else []),
        *(["--write"] if write else []),
        *([f"--control-mailbox={control_mailbox}"] if control_mailbox is not None else []),
    ]
    if in_app or has_account:
        uri = choose_place(session.account, is_local=session.is_local, environment=os.environ).table_service_uri
        chosen += ["--in-app", *([f"--table-service-uri={uri}"] if uri else [])]
    ctx.exit(main(chosen))
