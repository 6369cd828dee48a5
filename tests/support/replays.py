"""Asking for replays as an administrator does, and a failed row to ask for."""

from shared.domain.model import Outcome
from shared.stores.replays import ReplayRequest, Replays
from tests.support.stage import Stage


def replays(on: Stage) -> Replays:
    """The requests on that stage."""
    return Replays(on.ports.tables["runstate"], on.clock)


async def ask_again(on: Stage, *outcomes: Outcome) -> list[ReplayRequest]:
    """Ask that these rows are taken up again, as they stand now; returns what was asked."""
    asked = [ReplayRequest(one.key, await version(on, one), on.clock.now()) for one in outcomes]
    await replays(on).ask(asked)
    return asked


async def version(on: Stage, outcome: Outcome) -> str:
    """The version of a row as it stands."""
    row = await on.ports.tables["outcomes"].get(outcome.key.partition, outcome.key.submission_id)
    assert row is not None
    return row.etag


async def row_of(on: Stage, outcome: Outcome) -> Outcome:
    """The row as it stands."""
    return next(one for one in await on.outcomes() if one.key == outcome.key)
