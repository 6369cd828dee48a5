"""Covering: a covered row takes what became of its holder, or its place.

The holder is the row that is submitted for the same item and claim, or for the same campaign. Once it is settled or
expired, so are the rows it covers. Where it came to nothing, the first covered row goes itself and the others follow
that one. Thousands of rows may follow one holder: they are read once it has news, and moved a hundred at a time.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from ...domain.item import ROW_COMES_WITHIN, may_have_arrived
from ...domain.lifecycle import is_final, move
from ...domain.model import CoverReason, Outcome, OutcomeKey, SkipReason, Source, State
from ...ports import Clock
from ...stores.items import Claim, ItemStore
from ...stores.ledger import TRANSACTION_ROWS, Holder, Ledger, Step, Stored, WorkItem
from ..sending.campaigns import Campaigns
from ..sending.claims import Claims, claim_of, covered, is_left_to_campaign
from ..trouble import Trouble
from .closing import close

HOLDERS_READ_AT_ONCE = 100
"""A run reads so many holders one by one before it rather looks through the keys of all open rows."""
ROWS_IN_MEMORY = 1_000


@dataclass(frozen=True, slots=True)
class Followed:
    """How many covered rows were settled, and the holders that have to be looked up at Microsoft first."""

    settled: int
    to_look_up: tuple[OutcomeKey, ...]


class HolderFollower:
    """Moves covered rows on."""

    def __init__(self, ledger: Ledger, items: ItemStore, campaigns: Campaigns, trouble: Trouble, clock: Clock) -> None:
        self._ledger = ledger
        self._items = items
        self._claims = Claims(ledger, items, clock)
        self._campaigns = campaigns
        self._trouble = trouble
        self._clock = clock

    async def run(self, stop_at: datetime) -> Followed:
        """Give covered rows what became of their holders, until then; what is left is done at the next run.

        What is read grows with the holders, hardly with the rows behind them: those are read once there is news.
        """
        settled = 0
        to_look_up: list[OutcomeKey] = []
        for holder in await self._holders_not_open():
            if self._clock.now() >= stop_at:
                break
            news = await self._news_of(holder.key)
            if news is _News.LOOK_UP and holder.key is not None:
                to_look_up.append(holder.key)
            elif news is _News.FOLLOW:
                settled += await self._all_follow(holder.submission_id, stop_at)
        return Followed(settled, tuple(to_look_up))

    async def _holders_not_open(self) -> list[Holder]:
        """The holders that may be final, or are covered themselves.

        A few are each read afterwards. Of many only those are whose rows the worklist does not show as open.
        """
        holders = [holder async for holder in self._ledger.holders()]
        if len(holders) <= HOLDERS_READ_AT_ONCE:
            return holders
        open_ids = await self._ledger.open_ids()
        return [holder for holder in holders if holder.submission_id not in open_ids]

    async def _news_of(self, key: OutcomeKey | None) -> _News:
        """Whether there is something to do for a holder's followers. One that cannot be read is their trouble."""
        if key is None:
            return _News.FOLLOW
        try:
            holder = await self._ledger.get(key)
        except Exception:  # noqa: BLE001 - each follower will meet it, and is told and counted for it
            return _News.FOLLOW
        if holder is not None and may_have_arrived(holder.outcome):
            return _News.LOOK_UP
        if holder is None or is_final(holder.outcome.state) or is_left_to_campaign(holder.outcome):
            return _News.FOLLOW
        return _News.FOLLOW if await self._waits_for_a_covered_row(holder.outcome) else _News.NONE

    async def _waits_for_a_covered_row(self, holder: Outcome) -> bool:
        """Whether a holder may wait for a row that waits for it: whoever it follows is covered, too."""
        if holder.state is not State.COVERED:
            return False
        entry = await self._ledger.find(holder)
        above = None if entry is None or entry.holder is None else await self._ledger.get(entry.holder)
        return above is not None and above.outcome.state is State.COVERED

    async def _all_follow(self, holder_id: str, stop_at: datetime) -> int:
        """Move the followers of a holder on, in transactions; returns how many are settled."""
        settled = 0
        holders: dict[OutcomeKey, Stored | None] = {}

        async def follow(followers: Sequence[WorkItem]) -> int:
            key = followers[0].holder or followers[0].outcome.key
            if key not in holders:
                holders[key] = await self._ledger.get(key)
            return await self._follow(followers, key, holders[key])

        async for items in self._batches(holder_id):
            if self._clock.now() >= stop_at:
                break
            settled += await self._trouble.each(items, follow)
        return settled

    async def _batches(self, holder_id: str) -> AsyncIterator[list[WorkItem]]:
        """The rows behind a holder by pages, those of one day together, up to a transaction's worth at a time."""
        page: list[WorkItem] = []
        async for item in self._ledger.followers(holder_id):
            page.append(item)
            if len(page) == ROWS_IN_MEMORY:
                for batch in _by_day(page):
                    yield batch
                page = []
        for batch in _by_day(page):
            yield batch

    async def _follow(self, followers: Sequence[WorkItem], key: OutcomeKey, holder: Stored | None) -> int:
        """Move the followers of one holder on; returns how many are settled."""
        if holder is not None and may_have_arrived(holder.outcome):
            return 0
        others: list[WorkItem] = []
        for item in followers:
            if _is_request_behind_a_member(item, holder):
                await self._take_the_place(item, key)
            else:
                others.append(item)
        if not others:
            return 0
        if holder is not None and (final := _final_state(holder.outcome)) is not None:
            now = self._clock.now()
            return await close(
                self._ledger, [Step(item, _like(item.outcome, holder.outcome, final, now)) for item in others]
            )
        if self._came_to_nothing(others[0], holder):
            await self._replace(others, key)
        elif holder is not None and holder.outcome.state is State.COVERED:
            for item in others:
                await self._break_circle(item)
        return 0

    async def _break_circle(self, item: WorkItem) -> None:
        """Let a covered row go that holds its item itself: a stop before it was written let its holder follow it."""
        claim = claim_of(item.outcome)
        held = None if claim is None else await self._items.held(claim)
        if claim is not None and held is not None and held.holder == claim.key and _is_same_item(item.outcome):
            await self._go_unless_held(item, claim, claim.key)

    async def _replace(self, followers: Sequence[WorkItem], gone: OutcomeKey) -> None:
        """Let others go in the place of a holder that came to nothing."""
        members = [item for item in followers if item.outcome.state_reason == CoverReason.SAME_CAMPAIGN]
        for item in followers:
            if item not in members:
                await self._take_the_place(item, gone)
        await self._replace_representative(members, gone)

    def _came_to_nothing(self, item: WorkItem, holder: Stored | None) -> bool:
        """Whether the holder will never be at Microsoft."""
        if holder is None:
            return self._clock.now() - max(item.outcome.collected_at, item.due_at) > ROW_COMES_WITHIN
        return is_final(holder.outcome.state) and _final_state(holder.outcome) is None

    async def _take_the_place(self, item: WorkItem, gone: OutcomeKey) -> None:
        """Let the row go itself, or follow the one that took the holder's place before it."""
        claim = claim_of(item.outcome)
        if claim is None:
            return
        holder = await self._claims.hand_over(claim, gone, lambda _: self._is_left(item, gone))
        await self._go_unless_held(item, claim, holder)

    async def _is_left(self, item: WorkItem, gone: OutcomeKey) -> bool:
        """Whether a row may go in the place of its holder, as that one stands now: it may have been taken up again."""
        holder = await self._ledger.get(gone)
        if holder is not None and may_have_arrived(holder.outcome):
            return False
        return _is_request_behind_a_member(item, holder) or self._came_to_nothing(item, holder)

    async def _replace_representative(self, followers: Sequence[WorkItem], gone: OutcomeKey) -> None:
        """Promote one member; the rest follow the new representative."""
        if not followers:
            return
        first = followers[0].outcome
        chosen = await self._campaigns.hand_over(first.campaign_id or "", gone, first.key)
        await self._follow_another(
            [item for item in followers if item.outcome.key != chosen], chosen, CoverReason.SAME_CAMPAIGN
        )
        for item in followers:
            claim = claim_of(item.outcome)
            if item.outcome.key == chosen and claim is not None:
                await self._go_unless_held(item, claim, (await self._items.hold([claim]))[0].holder)

    async def _go_unless_held(self, item: WorkItem, claim: Claim, holder: OutcomeKey) -> None:
        """Let the row be submitted itself, unless another one is for the same item: then it follows that one.

        A row that goes keeps its claim first: a request that comes at this moment is covered by it.
        """
        holder = await self._claims.unless_left_to_campaign(claim, holder)
        if holder == claim.key:
            holder = (await self._items.keep(claim)).holder
        if holder == claim.key:
            after = move(item.outcome, State.PENDING, reason="holder_came_to_nothing", covered_by=None)
            await self._ledger.step(Step(item, after))
        else:
            await self._follow_another([item], holder, CoverReason.SAME_ITEM)

    async def _follow_another(self, items: Sequence[WorkItem], holder: OutcomeKey, reason: CoverReason) -> None:
        """Let covered rows follow another holder."""
        await self._ledger.amend_filed(
            [Step(item, covered(item.outcome, reason, holder), filed={"holder": holder}) for item in items]
        )


class _News(enum.Enum):
    """What is to be done for the rows behind a holder."""

    NONE = enum.auto()
    FOLLOW = enum.auto()
    LOOK_UP = enum.auto()


def _by_day(items: Sequence[WorkItem]) -> Iterator[list[WorkItem]]:
    """The rows of each holder and day, up to a transaction's worth at a time."""

    def place(item: WorkItem) -> tuple[str, str]:
        return item.holder.partition if item.holder else "", item.outcome.key.partition

    for _, group in groupby(sorted(items, key=place), place):
        rows = list(group)
        for start in range(0, len(rows), TRANSACTION_ROWS):
            yield rows[start : start + TRANSACTION_ROWS]


def _is_same_item(outcome: Outcome) -> bool:
    return outcome.state_reason == CoverReason.SAME_ITEM


def _is_request_behind_a_member(item: WorkItem, holder: Stored | None) -> bool:
    """Whether an operator waits for a report that only its campaign covers: it had no row yet when he asked."""
    is_request = item.outcome.source is Source.MANUAL
    return is_request and holder is not None and is_left_to_campaign(holder.outcome)


def _final_state(holder: Outcome) -> State | None:
    """The final state that a holder shares with the rows it covers; None where it has none, or came to nothing."""
    if holder.state in (State.SETTLED, State.EXPIRED):
        return holder.state
    is_rehearsal = holder.state is State.SKIPPED and holder.state_reason == SkipReason.SHADOW_MODE
    return State.SKIPPED if is_rehearsal else None


def _like(outcome: Outcome, holder: Outcome, final: State, now: datetime) -> Outcome:
    """The covered row in its holder's final state."""
    if final is State.SETTLED:
        return _settled_like(outcome, holder, now)
    return move(outcome, final, reason="no_verdict" if final is State.EXPIRED else SkipReason.SHADOW_MODE)


def _settled_like(outcome: Outcome, holder: Outcome, now: datetime) -> Outcome:
    """The covered row with its holder's verdict and Microsoft's words for it."""
    return move(
        outcome,
        State.SETTLED,
        verdict=holder.verdict,
        agreement=holder.agreement,
        settled_at=now,
        seconds_to_verdict=max(0, int((now - outcome.received_at).total_seconds())),
        graph_submission_id=holder.graph_submission_id,
        graph_status=holder.graph_status,
        result_category=holder.result_category,
        result_detail=holder.result_detail,
    )
