"""`submissions replay`: have the app take up again what failed or was rejected.

The command only asks, by a row for each in the table `runstate`; the app decides and does it within five minutes, as
only there a row, its item's claim and the quota are guarded together. So asking twice, or by two people, is harmless.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import click

from ..codecs.rows import read_outcome
from ..domain.model import Outcome
from ..domain.replays import Way
from ..stores.replays import Replays
from .errors import CommandError, ExitCode, NotFoundError, TimedOutError
from .gauges import live_line
from .listing import ID_CHARACTERS
from .moments import MOMENT
from .output import Column, Output, tell
from .replay_choice import REPLAYABLE, SINCE, Choice, choose_by_ids, choose_selected
from .selection import Selection, Wanted, read_filters, received, with_filters
from .submit import Seconds

if TYPE_CHECKING:
    from ..adapters.storage import AzureTable
    from .__main__ import Session
    from .connection import Connection

MOST_ROWS = 500
"""What the app takes up in one run."""
WAIT_S = 900.0
_LOOK_EVERY_S = 5.0
_STEPS: Final = {
    Way.SUBMIT: "submitted again",
    Way.LOOK_UP: "looked up at Microsoft first",
    Way.TAKE_IN: "read again, then submitted",
}
_PREVIEW: Final = (
    Column(field="Id", heading="ID"),
    Column(field="Received", heading="RECEIVED", from_width=100),
    Column(field="State", heading="STATE"),
    Column(field="StateReason", heading="REASON", size=20),
    Column(field="Item", heading="ITEM", share=1, from_width=120),
    Column(field="Told", heading="REPLAY", share=2),
)
_ANSWERS: Final = (
    Column(field="Id", heading="ID"),
    Column(field="State", heading="STATE"),
    Column(field="StateReason", heading="REASON", size=20),
    Column(field="StateDetail", heading="DETAIL", share=1),
)
_TSV: Final = tuple(
    Column(field=name, heading=name)
    for name in ("SubmissionId", "OutcomePartition", "State", "StateReason", "StateDetail", "Way", "WhyNot")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the command goes about it; `wait_s` is None where nobody waits for the app."""

    is_dry_run: bool
    is_agreed: bool
    wait_s: float | None

    def shows_preview(self, output: Output) -> bool:
        """Whether the preview goes to standard output: for a program that waits, the answers are all there is."""
        return output.form == "table" or self.is_dry_run or self.wait_s is None or not self.is_agreed


@click.command("replay")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@with_filters
@click.option("--reason", "reasons", multiple=True, metavar="REASON", help="Only rows of this StateReason; repeatable.")
@click.option("--since", type=MOMENT, help="Received since: 30m, 24h, 7d or a day. Else 30 days, the most there is.")
@click.option("--until", type=MOMENT, help="Received before: an age or a day, as above. Else now.")
@click.option(
    "--limit", type=click.IntRange(1, MOST_ROWS), default=MOST_ROWS, show_default=True, help="At most so many."
)
@click.option("--all", "is_all", is_flag=True, help="Every failed and rejected row of the time.")
@click.option("--dry-run", is_flag=True, help="Show what would be done; ask for nothing.")
@click.option("--yes", is_flag=True, help="Do not ask me.")
@click.option(
    "--wait",
    "wait_s",
    type=Seconds(min=0),
    is_flag=False,
    flag_value=WAIT_S,
    metavar="[SECONDS]",
    help=f"Wait for the app's answers, {WAIT_S:.0f} seconds unless said otherwise: --wait=60, or put it last.",
)
@click.pass_obj
def replay(session: Session, /, ids: tuple[str, ...], **options: Any) -> None:
    """Take up again what failed or was rejected, once its cause is repaired.

    Shows each row with what the app will do, and asks. The app does it within five minutes and submits nothing twice:
    what may have arrived is looked up at Microsoft, and what another row was submitted for is covered by that one.
    Name rows by id, or choose them by filters. You need the rights of an administrator.

    \b
    Examples:
      submissions replay 1f0c9a52d17b
      submissions replay --state failed --since 24h
      submissions replay --reason poison_message --yes --wait
      submissions replay --all --dry-run --output json
    """  # noqa: D301 - \b keeps click from joining the lines
    manner = Manner(
        is_dry_run=options["dry_run"],
        is_agreed=options["yes"],
        wait_s=options["wait_s"],
    )
    selection = _selection(ids, options)
    asyncio.run(_replay(session, selection or ids, options["limit"], manner))


def _selection(ids: Sequence[str], options: dict[str, Any]) -> Selection | None:
    """The rows that the options ask for; None where ids name them. Raises `click.UsageError` where nothing does."""
    reasons = Wanted(("StateReason",), options["reasons"])
    filters = [
        *read_filters({**options, "state": options["state"] or REPLAYABLE}),
        *([reasons] if reasons.values else []),
    ]
    names = ("state", "verdict", "kind", "reporter", "sender", "campaign", "reasons", "since", "until", "is_all")
    is_filtered = any(options[name] for name in names)
    if ids and is_filtered:
        raise click.UsageError("name rows by id or choose them by options, not both")
    if ids:
        return None
    if not is_filtered:
        raise click.UsageError("which rows? Name ids, or choose by --state, --reason, --since and the like, or --all")
    if other := set(options["state"]) - set(REPLAYABLE):
        raise click.UsageError(f"only failed and rejected rows can be replayed, not {', '.join(sorted(other))}")
    return received(options["since"] or datetime.now(UTC) - SINCE, options["until"], filters)


async def _replay(session: Session, wanted: Selection | Sequence[str], limit: int, manner: Manner) -> None:
    async with session.connect() as connection:
        chosen = await _choose(connection.table("outcomes"), wanted, limit)
        can = [one for one in chosen if one.way is not None]
        if not can or manner.shows_preview(session.output):
            session.output.show_records(_columns(session.output, _PREVIEW), map(_preview, chosen))
        for one in chosen:
            if one.refusal is not None:
                tell(f"{one.submission_id[:ID_CHARACTERS]} cannot be replayed: {one.refusal}")
        if can and not manner.is_dry_run:
            _agree(len(can), manner)
            await _ask(session.output, connection, can, manner)
    if len(can) < len(chosen):
        click.get_current_context().exit(ExitCode.PARTLY_DONE)


async def _choose(outcomes: AzureTable, wanted: Selection | Sequence[str], limit: int) -> list[Choice]:
    now = datetime.now(UTC)
    if not isinstance(wanted, Selection):
        return await choose_by_ids(outcomes, wanted, now)
    chosen = await choose_selected(outcomes, wanted, limit + 1, now)
    if not chosen:
        raise NotFoundError("no failed or rejected row fits")
    if len(chosen) > limit:
        tell(f"there are more than {limit}: ask again for the rest when these are done")
    return chosen[:limit]


def _agree(count: int, manner: Manner) -> None:
    """Go on only where somebody said yes."""
    if manner.is_agreed:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError("nothing was asked for: give --yes, as nobody can be asked here", ExitCode.WRONG_USE)
    if not click.confirm(f"Replay {_rows(count)}?", err=True):
        raise CommandError("nothing was asked for")


async def _ask(output: Output, connection: Connection, chosen: Sequence[Choice], manner: Manner) -> None:
    from ..adapters.system_clock import SystemClock  # noqa: PLC0415 - `--help` does without

    clock = SystemClock()
    replays = Replays(connection.table("runstate"), clock)
    await replays.ask([one.request(clock.now()) for one in chosen])
    tell(f"The app is asked for {_rows(len(chosen))}; it comes to it within five minutes.")
    if manner.wait_s is None:
        return
    with live_line("waiting for the app", is_coloured=output.is_coloured) as say:
        left = await _wait(replays, chosen, manner.wait_s, say)
    outcomes = connection.table("outcomes")
    answered = [await _row(outcomes, one) for one in chosen if one.submission_id not in left]
    output.show_records(_columns(output, _ANSWERS), map(_record, answered))
    refused = sum(row.state in REPLAYABLE for row in answered)
    if left:
        raise TimedOutError(f"the app has not answered for {_rows(len(left))}: see `submissions status`")
    if refused:
        raise CommandError(
            f"{_rows(refused)} failed or rejected as before, or again: StateReason and StateDetail say why"
        )


async def _wait(replays: Replays, chosen: Sequence[Choice], wait_s: float, say: Callable[[str], None]) -> set[str]:
    """Wait until the app has answered; the ids for which it has not."""
    wanted, end_s = {one.submission_id for one in chosen}, monotonic() + wait_s
    while left := wanted & await replays.waiting_ids():
        say(f"the app has answered for {len(wanted) - len(left)} of {len(wanted)}")
        left_s = end_s - monotonic()
        if left_s <= 0:
            break
        await asyncio.sleep(min(_LOOK_EVERY_S, left_s))
    return left


async def _row(outcomes: AzureTable, choice: Choice) -> Outcome:
    key = choice.outcome.key
    row = await outcomes.get(key.partition, key.submission_id)
    return choice.outcome if row is None else read_outcome(row.entity)


def _columns(output: Output, for_people: Sequence[Column]) -> Sequence[Column]:
    return for_people if output.form == "table" else _TSV


def _preview(choice: Choice) -> Mapping[str, object]:
    told = _STEPS[choice.way] if choice.way else "cannot be replayed"
    why_not = None if choice.refusal is None else str(choice.refusal)
    return {**_record(choice.outcome), "Way": choice.way, "WhyNot": why_not, "Told": told}


def _record(outcome: Outcome) -> dict[str, object]:
    return {
        "SubmissionId": outcome.key.submission_id,
        "OutcomePartition": outcome.key.partition,
        "State": outcome.state,
        "StateReason": outcome.state_reason,
        "StateDetail": outcome.state_detail,
        "Id": outcome.key.submission_id[:ID_CHARACTERS],
        "Received": f"{outcome.received_at:%m-%d %H:%M}",
        "Item": outcome.subject or outcome.url or outcome.file_name,
    }


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
