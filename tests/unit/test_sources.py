"""Looking at sources: when, how far back, and what one that fails costs."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import pytest

from local.memory_storage import MemoryTable
from shared.domain.errors import AnswerLost, Gone, GraphError, NotAllowed, NotReady, NotSent, Refused, Throttled
from shared.ports import Table
from shared.stores.looks import AskedFor, LookStore
from shared.usecases.arrivals.sources import FIRST_LOOK_BACK, OVERLAP, Look, Sources, Taken
from tests.support.calls import Calls, CountedPort
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


async def test_what_was_asked_for_long_ago_is_forgotten() -> None:
    """However many days the app runs, and whatever it forgets at once; another source's stays."""
    table = MemoryTable()
    asked, other = AskedFor(table, "hunting_query"), AskedFor(table, "other")
    await other.add("hunting-0", START - timedelta(days=40))
    for number in range(120):
        await asked.add(f"hunting-{number}", START - timedelta(days=31 if number % 2 else 32))
    assert len(await asked.since(START - timedelta(days=31))) == 60
    assert len(table.rows()) == 61


async def test_what_was_asked_for_is_read_once_a_day() -> None:
    """A look in between knows it, with what was asked for since; another process reads it for itself."""
    calls = Calls()
    table = cast(Table, CountedPort(MemoryTable(), calls))
    asked = AskedFor(table, "hunting_query")
    await asked.add("hunting-1", START)
    calls.made = 0
    for _ in range(3):
        assert await asked.since(START) == {"hunting-1"}
    await asked.add("hunting-2", START)
    assert await asked.since(START) == {"hunting-1", "hunting-2"} == await AskedFor(table, "hunting_query").since(START)
    assert calls.made == 3
    assert await asked.since(START + timedelta(days=1)) == set()


async def test_a_look_that_is_not_due_asks_storage_for_nothing() -> None:
    """A run in between knows it from the one before; a new process reads it once."""
    clock, calls = StageClock(), Calls()
    looks = LookStore(cast(Table, CountedPort(MemoryTable(), calls)))
    sources = Sources((Teller("one"), Teller("two")), looks, clock, longest_look_s=0.02)
    for expected in (6, 2, 0, 0):
        calls.made = 0
        await sources.run()
        assert calls.made == expected
        clock.advance(minutes=2)
    calls.made = 0
    await Sources((Teller("one"), Teller("two")), looks, clock, longest_look_s=0.02).run()
    assert calls.made == 2


# --- Parts, and rows that fail ----------------------------------------------------------------------------------------


@dataclass
class Paged:
    """A source that takes so long for each of its pages, and may fail at some; it remembers where each part began."""

    clock: StageClock
    pages: int
    page_s: float
    name: str = "paged"
    fails_at: dict[int, Exception] = field(default_factory=dict)
    lacking: int = 0
    parts: list[Look] = field(default_factory=list)

    async def take(self, look: Look) -> Taken:
        """One page."""
        self.parts.append(look)
        self.clock.advance(seconds=self.page_s)
        page = int(look.resume or 0)
        if error := self.fails_at.pop(page, None):
            raise error
        return Taken(1, self.lacking, None if page + 1 >= self.pages else str(page + 1))

    @property
    def read(self) -> list[int]:
        """The pages in the order in which they were asked for."""
        return [int(part.resume or 0) for part in self.parts]


def watch_paged(pages: int, page_s: float, *others: Teller, **facts: object) -> tuple[Scene, Paged]:
    """Look at such a source, and at these others, with a look's usual time."""
    clock = StageClock()
    paged = Paged(clock, pages, page_s, **facts)  # type: ignore[arg-type]
    return Scene(clock, Sources((paged, *others), LookStore(MemoryTable()), clock)), paged


async def test_a_long_list_is_read_in_parts() -> None:
    """Two minutes of pages: every run reads on where the last one stopped, at once, and none reads a page again."""
    scene, paged = watch_paged(pages=12, page_s=10)
    runs = 0
    while len(paged.read) < 12:
        began_at = scene.clock.time
        assert await scene.sources.run() >= 3
        assert scene.clock.time - began_at <= timedelta(seconds=60)
        scene.clock.advance(seconds=30)
        runs += 1
    assert (paged.read, runs) == (list(range(12)), 3)
    assert {part.since for part in paged.parts} == {paged.parts[0].since}
    scene.clock.advance(minutes=11)
    await scene.sources.run()
    assert abs(paged.parts[-4].since - (START - OVERLAP)) < timedelta(seconds=1)


async def test_what_was_read_before_a_failure_is_not_read_again() -> None:
    """The list goes on at the next look where it failed; where that fails as well, it begins anew."""
    errors: dict[int, Exception] = {3: NotSent("list")}
    scene, paged = watch_paged(6, 1, fails_at=errors)
    await scene.sources.run()
    scene.clock.advance(minutes=11)
    errors[3] = NotSent("list")
    await scene.sources.run()
    scene.clock.advance(minutes=11)
    await scene.sources.run()
    assert paged.read == [0, 1, 2, 3, 3, 0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("error", [Gone("list", status=410), Refused("list", status=400)], ids=repr)
async def test_a_link_that_is_not_good_any_more_begins_the_list_anew(error: GraphError) -> None:
    """At the next look, which is as far off as any."""
    scene, paged = watch_paged(4, 1, fails_at={2: error})
    await scene.sources.run()
    scene.clock.advance(minutes=2)
    await scene.sources.run()
    assert paged.read == [0, 1, 2]
    scene.clock.advance(minutes=9)
    await scene.sources.run()
    assert paged.read[3:] == [0, 1, 2, 3]


async def test_a_long_source_leaves_the_others_their_time() -> None:
    """Ten minutes of pages: the other one is looked at in the same run, and all of them take two minutes at most."""
    other = Teller("other")
    scene, _ = watch_paged(60, 10, other)
    began_at = scene.clock.time
    await scene.sources.run()
    assert len(other.looks) == 1
    assert scene.clock.time - began_at <= timedelta(minutes=2)


async def test_a_source_that_found_no_time_is_the_first_of_the_next_run() -> None:
    """Two that take most of the time at one page leave too little to the third."""
    clock, last = StageClock(), Teller("last")
    slow = [Paged(clock, 1, 52, name) for name in ("one", "two")]
    sources = Sources((*slow, last), LookStore(MemoryTable()), clock)
    await sources.run()
    assert not last.looks
    clock.advance(seconds=30)
    await sources.run()
    assert len(last.looks) == 1


async def test_an_error_of_ours_is_that_sources(caplog: pytest.LogCaptureFixture) -> None:
    """Its type and its place are told, and the next one is read."""
    caplog.set_level(logging.WARNING)
    assert await watch(Teller("broken", RecursionError()), Teller("other")).sources.run() == 1
    (line,) = caplog.messages
    assert "event=source_unreadable source=broken error=RecursionError" in line


async def test_a_look_that_lacks_rows_is_looked_again_until_they_are_given_up() -> None:
    """The next looks begin where it began; after six hours the source may give the rows up, after a day it goes on."""
    scene, paged = watch_paged(1, 1, lacking=1)
    for _ in range(30):
        await scene.sources.run()
        scene.clock.advance(hours=1)
    assert len({part.since for part in paged.parts[:24]}) == 1
    assert {part.settled_before for part in paged.parts[:24]} == {None}
    gives_up = [part.give_up_before is not None for part in paged.parts[:12]]
    assert gives_up == [False] * 6 + [True] * 6
    assert paged.parts[-1].settled_before is not None
