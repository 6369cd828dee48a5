"""Reconcile: find out what became of a POST whose answer was lost, and only then let it be repeated.

Microsoft's list is the only witness. A POST that is found there is adopted. One that is not found after 15 minutes
never arrived: it is then sent again, and the item's own 15-minute rule is over as well.

All lost POSTs of a kind are decided together, from one look at the rows in flight, one at the feed and one list: so
each costs the same however many there are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ...domain.lifecycle import move
from ...domain.model import Category, Kind, State
from ...domain.planner import WINDOW
from ...domain.restoration import Restored
from ...domain.retries import after_nothing_found
from ...domain.submissions import LostSubmission, ThreatSubmission, Unowned
from ...ports import Clock
from ...stores.ledger import TRANSACTION_ROWS, Ledger, Step, WorkItem
from ...stores.quota import Quota, QuotaStore, slot_time
from ...telemetry import Event, emit
from ..sending.submit import submitted
from ..trouble import Trouble

LISTING_IS_CERTAIN_AFTER = WINDOW
OWNED_SINCE = timedelta(minutes=20)


@dataclass(frozen=True, slots=True)
class Decided:
    """Lost POSTs that were found at Microsoft, and those that never arrived; the others are too young to tell."""

    found: dict[str, ThreatSubmission]
    nowhere: frozenset[str]


class Reconciler:
    """Decides uncertain rows against a complete list of Microsoft's submissions."""

    def __init__(self, ledger: Ledger, quota: QuotaStore, trouble: Trouble, clock: Clock) -> None:
        self._ledger = ledger
        self._quota = quota
        self._trouble = trouble
        self._clock = clock

    async def run(self, kind: Kind, lost: Sequence[WorkItem], unowned: Unowned, stop_at: datetime) -> None:
        """Move uncertain rows of a kind on where that can be decided; what is left at `stop_at` is for the next run.

        `unowned` must be complete since their POSTs, without the submissions that other rows on the worklist own. What
        a row in flight seems to have made is left to that row.
        """
        if not lost:
            return
        quota = await self._quota.quota()
        flying = await self._in_flight(kind, quota)
        # Behind the look at what is in flight: a row that has landed before it has its event in the feed.
        owners = await self._ledger.owners_since(min(map(_sent_at, lost)) - OWNED_SINCE)
        decided = decide(lost, flying, unowned, owners, self._clock.now(), restored=quota.restored)

        async def adopt(items: Sequence[WorkItem]) -> int:
            return await self._adopt([(one, decided.found[_id(one)]) for one in items], quota.restored)

        async def send_again(items: Sequence[WorkItem]) -> int:
            return await self._send_again(items, quota)

        await self._each([one for one in lost if _id(one) in decided.found], adopt, stop_at)
        await self._each([one for one in lost if _id(one) in decided.nowhere], send_again, stop_at)

    async def _in_flight(self, kind: Kind, quota: Quota) -> list[WorkItem]:
        """Rows whose POST has left and whose worker has not spoken yet, with the time of that POST."""
        sent = {one.name: one.slot.sent_at for one in quota.slots}
        flying = [item for item in await self._ledger.all_in_flight() if item.outcome.kind is kind and item.slot]
        times = [sent.get(item.slot or "", slot_time(item.slot or "")) for item in flying]
        return [replace(item, sent_at=at) for item, at in zip(flying, times, strict=True) if at is not None]

    async def _each(
        self, items: Sequence[WorkItem], do: Callable[[Sequence[WorkItem]], Awaitable[int]], stop_at: datetime
    ) -> None:
        by_day = sorted(items, key=lambda one: one.outcome.key.partition)
        for start in range(0, len(by_day), TRANSACTION_ROWS):
            if self._clock.now() >= stop_at:
                return
            await self._trouble.each(by_day[start : start + TRANSACTION_ROWS], do)

    async def _adopt(self, found: Sequence[tuple[WorkItem, ThreatSubmission]], restored: Restored | None) -> int:
        """Give rows the submissions that their POSTs made."""
        steps = [Step(item, submitted(item.outcome, one, _left_at(item, one, restored))) for item, one in found]
        return _told([one is not None for one in await self._ledger.apply(steps)], steps, is_found=True)

    async def _send_again(self, items: Sequence[WorkItem], quota: Quota) -> int:
        """Let rows wait anew whose POSTs are known to have had no effect, or give them up."""
        steps = [step for item in items if (step := await self._again(item, quota)) is not None]
        return _told([one is not None for one in await self._ledger.apply(steps)], steps, is_found=False)

    async def _again(self, item: WorkItem, quota: Quota) -> Step | None:
        stored = await self._ledger.get(item.outcome.key)
        if stored is None or stored.outcome.state is not State.UNCERTAIN or not item.tells_of(stored.outcome):
            await self._ledger.refile(item)  # uncertain anew, too: what was decided is about an earlier POST
            return None
        is_hidden = quota.restored is not None and quota.restored.hides(item.sent_before)
        others_accepted = not is_hidden and quota.accepted_since(item.sent_before)
        decision = after_nothing_found(item.failures, others_accepted=others_accepted)
        if decision.state is State.FAILED:
            emit(Event.GAVE_UP, submission_id=_id(item), reason=decision.reason)
        await self._quota.forget_post(stored.outcome.item_key, item.sent_before)
        after = move(stored.outcome, decision.state, reason=decision.reason)
        filed = {"failures": item.failures + decision.counts, "due_at": self._clock.now(), "sent_at": None}
        return Step(item, after, stored, filed)


def decide(
    lost: Sequence[WorkItem],
    flying: Sequence[WorkItem],
    unowned: Unowned,
    owners: dict[str, str],
    now: datetime,
    *,
    restored: Restored | None = None,
) -> Decided:
    """What became of lost POSTs; `owners` are the rows that the feed shows with submissions of Microsoft's, by id.

    What was sent before a restore may have been sent again at any time up to it, and the tables do not know.

    Of two similar mails the one sent nearest to a submission chooses first: otherwise one adopts what the other made,
    and the other is sent twice.
    """
    own = {row: one for one, row in owners.items()}
    found: dict[str, ThreatSubmission] = {}
    for submission_id, row in owners.items():
        mine = unowned.take(submission_id)
        if mine is not None and own[row] == submission_id:
            found[row] = mine
    searching = [one for one in (*lost, *flying) if _id(one) not in found]
    for item in sorted(searching, key=lambda one: _distance(one, unowned, restored)):
        nearest = unowned.nearest(_lost(item, restored))
        if nearest is not None:
            found[_id(item)] = nearest
            unowned.take(nearest.submission_id)
    nowhere = (one for one in lost if now - _sent_until(one, restored) >= LISTING_IS_CERTAIN_AFTER)
    return Decided(found, frozenset(_id(one) for one in nowhere if _id(one) not in found))


def _left_at(item: WorkItem, found: ThreatSubmission, restored: Restored | None) -> datetime:
    """When the POST left that made the submission: for one that a restore hid, Microsoft alone can tell."""
    is_hidden = restored is not None and restored.hides(item.sent_before)
    return found.created_at if is_hidden and found.created_at is not None else item.sent_before


def _sent_until(item: WorkItem, restored: Restored | None) -> datetime:
    is_hidden = restored is not None and restored.hides(item.sent_before)
    return restored.restored_at if restored is not None and is_hidden else item.sent_before


def _distance(item: WorkItem, unowned: Unowned, restored: Restored | None) -> timedelta:
    nearest = unowned.nearest(_lost(item, restored))
    return timedelta.max if nearest is None else abs((nearest.created_at or item.sent_before) - item.sent_before)


def _told(is_done: Sequence[bool], steps: Sequence[Step], *, is_found: bool) -> int:
    """Tell which rows were decided; none of them has a verdict yet."""
    for done, step in zip(is_done, steps, strict=True):
        if done:
            emit(Event.RECONCILED, submission_id=_id(step.item), found=is_found)
    return 0


def _id(item: WorkItem) -> str:
    return item.outcome.key.submission_id


def _sent_at(item: WorkItem) -> datetime:
    return item.sent_before


def _lost(item: WorkItem, restored: Restored | None) -> LostSubmission:
    outcome = item.outcome
    return LostSubmission(
        category=outcome.category or Category.PHISHING,
        sent_at=item.sent_before,
        sent_until=_sent_until(item, restored),
        recipient=outcome.recipient,
        sender=outcome.sender,
        subject=outcome.subject,
        internet_message_id=outcome.internet_message_id,
        url=item.material.url,
        file_name=outcome.file_name,
    )
