"""The kinds of row that grow in number, each made by the build itself and then copied as often as is asked for."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from local.bench.builds import Build, DrivenApp
from local.bench.starting_state import FIRST_COPY, RowNames, multiply, renamed
from local.bench.wire_stage import FIRST_NUMBER, Scene, WireStage, original_of
from local.graph_simulator import Scope, Submission
from local.graph_simulator.faults import lose_answer

DAY = timedelta(days=1)
QUIET_FOR = 2 * DAY
HOLDER, FOLLOWER = FIRST_NUMBER, FIRST_NUMBER + 2_000_000
FEED = frozenset({"outcomelog"})
"""Left out where 100,000 rows are copied: no run reads the feed for them."""
ONE_SPEAKS = {"CAMPAIGN_REPRESENTATIVES": "1"}
ONE_AT_A_TIME = {"QUOTA_PER_15_MIN": "1"}
_LURE = "Dear colleague, your parcel is held at customs. Pay the fee within two days, or it goes back to the sender."


@dataclass(frozen=True, slots=True)
class Kind:
    """A starting state with one row of a kind, that row's names, and when it was made."""

    scene: Scene
    names: RowNames
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def aged(self, by: timedelta) -> Kind:
        """The same, as if it had all happened earlier by that much."""
        return Kind(self.scene.aged(by), self.names, self.made_at)

    def just_made(self) -> Kind:
        """The same, as if it had been made at this moment, however long ago that was."""
        return self.aged(self.made_at - datetime.now(UTC))

    def times(self, count: int, *, without: Container[str] = ()) -> Scene:
        """The starting state with `count` such rows, and what Microsoft has of them."""
        state = self.scene.state.copy()
        multiply(state, self.names, count - 1, without=without)
        copies = [one for one in self.scene.submissions if self.names.stand_in(one.id)]
        added = [renamed(one, self.names.renamer(copy)) for copy in _copies(count) for one in copies]
        return Scene(state, (*self.scene.submissions, *added))


def _copies(count: int) -> range:
    return range(FIRST_COPY, FIRST_COPY + count - 1)


async def at_microsoft(stage: WireStage, build: Build) -> Kind:
    """A row that was submitted two days ago and has no verdict; nothing has changed since the last run."""
    async with stage.app(build) as app:
        await _submit(stage, app, HOLDER)
        return await _quiet(stage, app, HOLDER, "submitted")


async def covered(stage: WireStage, build: Build) -> Kind:
    """A row that follows another one of its campaign, which waits for its verdict."""
    async with stage.app(build, ONE_SPEAKS) as app:
        await _submit(stage, app, HOLDER, original_of(HOLDER, _LURE))
        await _submit(stage, app, FOLLOWER, original_of(FOLLOWER, _LURE))
        return await _quiet(stage, app, FOLLOWER, "covered")


async def waiting(stage: WireStage, build: Build) -> Kind:
    """A row that waits for its turn, which the one before it has taken."""
    async with stage.app(build, ONE_AT_A_TIME) as app:
        await _submit(stage, app, HOLDER)
        await _submit(stage, app, FOLLOWER)
        stage.empty_mailbox()
        return Kind(stage.scene(), _checked(stage, FOLLOWER, "pending"))


async def uncertain(stage: WireStage, build: Build) -> Kind:
    """A row whose POST was lost on its way a moment ago; its slot is no concern of anybody any more."""
    async with stage.app(build) as app:
        stage.graph.control.add_fault(lose_answer(Scope(method="POST", times=1)))
        await _submit(stage, app, FOLLOWER)
        names = _checked(stage, FOLLOWER, "uncertain")
        stage.graph.control.simulation.desk.clear()
        stage.age(DAY)
        await app.run_timer("dispatch")
        stage.age(-DAY)
        return Kind(stage.scene(), names)


async def settled(stage: WireStage, build: Build) -> Kind:
    """A row that has had its verdict for two days."""
    async with stage.app(build) as app:
        await _submit(stage, app, HOLDER)
        stage.change(with_verdicts)
        await app.run_timer("settle_outcomes")
        return await _quiet(stage, app, HOLDER, "settled")


def with_verdicts(scene: Scene) -> Scene:
    """The same, with every verdict ready."""
    return _told(scene, lambda one: replace(one, settles_at=one.created_at))


def with_new_words(scene: Scene) -> Scene:
    """The same, with other words of Microsoft on every submission, none of them final."""
    return _told(scene, lambda one: replace(one, settles_at=one.created_at, final_status="running"))


def _told(scene: Scene, change: Callable[[Submission], Submission]) -> Scene:
    return replace(scene, submissions=tuple(change(one) for one in scene.submissions))


async def _submit(stage: WireStage, app: DrivenApp, number: int, original: bytes | None = None) -> None:
    """Report a mail and let it go as far as it may."""
    stage.deliver(number, original)
    await app.run_timer("collect_reports")
    await app.run_timer("dispatch")
    await stage.submit_all(app)


async def _quiet(stage: WireStage, app: DrivenApp, number: int, state: str) -> Kind:
    """Let two days pass, in which nothing happens but that what is over is forgotten."""
    stage.empty_mailbox()
    stage.age(QUIET_FOR)
    for timer in ("dispatch", "settle_outcomes", "dispatch", "settle_outcomes"):
        await app.run_timer(timer)
    return Kind(stage.scene(), _checked(stage, number, state))


def _checked(stage: WireStage, number: int, state: str) -> RowNames:
    """The names of a row, which must be in that state: else the build has made another kind of row."""
    names = stage.names_of(number)
    [found] = [one for one in stage.storage.state.tables["outcomes"] if names.stand_in(one.row)]
    if (now := found.properties()["State"]) != state:
        raise RuntimeError(f"the row that should be {state} is {now}")
    return names
