"""Looking at sources: when, how far back, and what one that fails costs."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from local.memory_storage import MemoryTable
from shared.domain.errors import AnswerLost, Gone, GraphError, NotAllowed, NotReady, NotSent, Refused, Throttled
from shared.stores.looks import AskedFor, LookStore
from shared.usecases.sources import FIRST_LOOK_BACK, OVERLAP, Look, Sources, Taken
from tests.support.stage import START, StageClock

EVERY_ERROR = [NotSent, Throttled, NotAllowed, NotReady, Refused, Gone, AnswerLost]


@dataclass
class Teller:
    """A source that gives one row a look, or fails; it remembers how it was looked at."""

    name: str = "teller"
    error: Exception | None = None
    is_silent: bool = False
    looks: list[Look] = field(default_factory=list)

    async def take(self, look: Look) -> Taken:
        """One row."""
        self.looks.append(look)
        if self.is_silent:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return Taken(1)


@dataclass
class Scene:
    """Some sources, and the time."""

    clock: StageClock
    sources: Sources


def watch(*tellers: Teller) -> Scene:
    """Look at these, with a patience of hundredths of a second."""
    clock = StageClock()
    return Scene(clock, Sources(tellers, LookStore(MemoryTable()), clock, longest_look_s=0.02))


async def test_a_look_begins_where_the_last_complete_one_began() -> None:
    """The first looks back three days, the next an hour behind the one before, and a failed one moves nothing."""
    teller = Teller()
    scene = watch(teller)
    assert await scene.sources.run() == 1
    scene.clock.advance(minutes=11)
    teller.error = NotAllowed("list", status=403)
    assert await scene.sources.run() == 0
    scene.clock.advance(hours=30)
    teller.error = None
    assert await scene.sources.run() == 1
    first, failed, last = teller.looks
    assert abs(first.since - (START - FIRST_LOOK_BACK)) < timedelta(seconds=1)
    assert first.settled_before is None
    assert (failed.since, failed.settled_before) == (last.since, last.settled_before)
    assert failed.settled_before is not None
    assert failed.since == failed.settled_before - OVERLAP
    assert abs(failed.settled_before - START) < timedelta(seconds=1)


async def test_a_source_is_looked_at_every_ten_minutes() -> None:
    """Whether it answers or not, and each by its own time."""
    failing, answering = Teller("failing", NotSent("list")), Teller("answering")
    scene = watch(failing, answering)
    for _ in range(11):
        await scene.sources.run()
        scene.clock.advance(minutes=2)
    assert (len(failing.looks), len(answering.looks)) == (3, 3)


@pytest.mark.parametrize("error", EVERY_ERROR)
async def test_whatever_graph_does_costs_one_event(error: type[GraphError], caplog: pytest.LogCaptureFixture) -> None:
    """Every kind of error: the source is named, with what support asks for, and the next one is read."""
    caplog.set_level(logging.WARNING)
    broken = Teller("broken", error("list", status=418, code="Teapot", request_id="r-1"))
    assert await watch(broken, Teller("other")).sources.run() == 1
    assert caplog.messages == ["event=source_unreadable source=broken status=418 code=Teapot request_id=r-1"]


async def test_a_source_that_keeps_silent_does_not_hold_up_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """Its look ends after a while, like a stop anywhere."""
    caplog.set_level(logging.WARNING)
    assert await watch(Teller("silent", is_silent=True), Teller("other")).sources.run() == 1
    assert caplog.messages == ["event=source_unreadable source=silent code=look_too_long"]


async def test_what_was_asked_for_is_known_from_a_day_on() -> None:
    """By its id, from the given day; an id is not its neighbour's beginning, nor another source's."""
    table = MemoryTable()
    asked = AskedFor(table, "hunting_query")
    await asked.add("hunting-1", START - timedelta(days=2))
    await asked.add("hunting-10", START)
    await asked.add("hunting-10", START)
    await AskedFor(table, "other").add("hunting-2", START)
    assert await asked.since(START - timedelta(days=2)) == {"hunting-1", "hunting-10"}
    assert await asked.since(START - timedelta(days=1)) == {"hunting-10"}
