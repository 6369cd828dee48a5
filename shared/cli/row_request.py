"""A request about one row that stands: how it is found, which options every such command has, and how it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .moments import MOMENT
from .showing import Sought, days_to_search, find_one
from .submit import REQUESTED_BY, WAIT_S, Seconds, requester

if TYPE_CHECKING:
    from datetime import datetime

    from ..ports import Entity
    from .__main__ import Session

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def with_request_options(followed_to: str) -> Callable[[CommandT], CommandT]:
    """The options of a command that asks for something about a row; `--wait` follows to what is named."""

    def decorate(command: CommandT) -> CommandT:
        for option in reversed(_options(followed_to)):
            command = option(command)
        return command

    return decorate


def _options(followed_to: str) -> list[Callable[[CommandT], CommandT]]:
    return [
        click.option("--day", type=MOMENT, help="The UTC day the row was received; as for show."),
        click.option("--requested-by", metavar="ADDRESS", envvar=REQUESTED_BY, help="Else who is signed in."),
        click.option("--request-id", metavar="ID", help="Your own name for the request; else made from its content."),
        click.option("--dry-run", is_flag=True, help="Say what would be sent; send nothing."),
        click.option(
            "--wait",
            type=Seconds(min=0),
            is_flag=False,
            flag_value=WAIT_S,
            metavar="[SECONDS]",
            help=f"Follow {followed_to}, {WAIT_S:.0f} seconds unless said otherwise: --wait=60, or put it last.",
        ),
    ]


def find_row(session: Session, sought: str, day: datetime | None) -> Entity:
    """The row that is meant, by an id as `show` takes it. Raises `NotFoundError` where there is none."""

    async def find() -> Entity:
        async with session.connect() as connection:
            return await find_one(connection.table("outcomes"), Sought(sought), days_to_search(day))

    return asyncio.run(find())


def send_request(
    session: Session, kind: str, origin: str, fields: Mapping[str, Any], options: Mapping[str, Any]
) -> int:
    """Send one request as the command's options say; returns the exit code. `origin` is what FROM shows of it."""
    from .orders import Order, carry_out  # noqa: PLC0415 - dear, and --help needs none of it
    from .requests import Draft  # noqa: PLC0415 - as above

    names = {"requestedBy": requester(session, options), "requestId": options["request_id"]}
    order = Order(
        kind=kind,
        defaults={name: value for name, value in names.items() if value is not None},
        is_dry_run=options["dry_run"],
        all_or_nothing=False,
        again=False,
        wait_s=options["wait"],
    )
    return carry_out(order, lambda: iter([Draft(origin, fields)]), session.output, session.connect)
