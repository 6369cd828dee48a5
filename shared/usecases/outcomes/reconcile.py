"""Reconcile: find out what became of a POST whose answer was lost, and only then let it be repeated.

Microsoft's list is the only witness. A POST that is found there is adopted. One that is not found after 15 minutes
never arrived: it is then sent again, and the item's own 15-minute rule is over as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from shared.domain.lifecycle import move
from shared.domain.model import Category, Kind, State
from shared.domain.planner import WINDOW
from shared.domain.retries import after_nothing_found
from shared.domain.submissions import LostSubmission, ThreatSubmission, find_match
from shared.ports import Clock
from shared.stores.ledger import Ledger, Step, Stored, WorkItem
from shared.stores.quota import QuotaStore
from shared.telemetry import Event, emit
from shared.usecases.sending.submit import submitted
from shared.usecases.sending.sweep import sent_before

LISTING_IS_CERTAIN_AFTER = WINDOW
OWNED_SINCE = timedelta(minutes=20)


class Reconciler:
    """Decides uncertain rows against a complete list of Microsoft's submissions."""

    def __init__(self, ledger: Ledger, quota: QuotaStore, clock: Clock) -> None:
        self._ledger = ledger
        self._quota = quota
        self._clock = clock

    async def run(self, item: WorkItem, listed: Sequence[ThreatSubmission]) -> str:
        """Move an uncertain row on if that can be decided; returns the submission id that it owns now, or "".

        `listed` must be complete since the row's POST, without the submissions that other rows on the worklist own.
        """
        sent_at = sent_before(item)
        found = await self._find(item, listed)
        if found is None and self._clock.now() - sent_at < LISTING_IS_CERTAIN_AFTER:
            return ""
        stored = await self._ledger.get(item.outcome.key)
        if stored is None or stored.outcome.state is not State.UNCERTAIN:
            await self._ledger.refile(item)
            return "" if stored is None else stored.outcome.graph_submission_id or ""
        emit(Event.RECONCILED, submission_id=item.outcome.key.submission_id, found=found is not None)
        if found is None:
            await self._send_again(item, stored)
            return ""
        await self._ledger.step(Step(item, submitted(stored.outcome, found, sent_at), stored))
        return found.submission_id

    async def presumed(self, item: WorkItem, listed: Sequence[ThreatSubmission]) -> str:
        """The listed submission that a row still in flight seems to have made, or "": nobody else may adopt it."""
        found = await self._find(item, listed)
        return "" if found is None else found.submission_id

    async def _find(self, item: WorkItem, listed: Sequence[ThreatSubmission]) -> ThreatSubmission | None:
        """The listed submission that the lost POST made, leaving out those that finished rows own."""
        candidates = list(listed)
        while (found := find_match(_lost(item), candidates)) is not None:
            owner = await self._ledger.owner_of(found.submission_id, sent_before(item) - OWNED_SINCE)
            if owner in (None, item.outcome.key.submission_id):
                return found
            candidates.remove(found)
        return None

    async def _send_again(self, item: WorkItem, stored: Stored) -> None:
        """Let a row wait anew whose POST is known to have had no effect, or give it up."""
        others_accepted = (await self._quota.quota()).accepted_since(sent_before(item))
        decision = after_nothing_found(item.failures, others_accepted=others_accepted)
        if decision.state is State.FAILED:
            emit(Event.GAVE_UP, submission_id=stored.outcome.key.submission_id, reason=decision.reason)
        await self._quota.forget_post(stored.outcome.item_key, sent_before(item))
        after = move(stored.outcome, decision.state, reason=decision.reason)
        filed = {"failures": item.failures + decision.counts, "due_at": self._clock.now(), "sent_at": None}
        await self._ledger.step(Step(item, after, stored, filed))


def nearest_first(items: Sequence[WorkItem], listed: Sequence[ThreatSubmission]) -> list[WorkItem]:
    """Uncertain rows in the order in which they choose: of two similar mails the one sent nearest to a submission.

    Otherwise one adopts what the other made, and the other is sent twice.
    """

    def distance(item: WorkItem) -> timedelta:
        sent_at = sent_before(item)
        found = find_match(_lost(item), listed)
        return timedelta.max if found is None else abs((found.created_at or sent_at) - sent_at)

    return sorted(items, key=distance)


def _lost(item: WorkItem) -> LostSubmission:
    outcome = item.outcome
    return LostSubmission(
        kind=outcome.kind or Kind.EMAIL,
        category=outcome.category or Category.PHISHING,
        sent_at=sent_before(item),
        recipient=outcome.recipient,
        sender=outcome.sender,
        subject=outcome.subject,
        internet_message_id=outcome.internet_message_id,
        url=item.material.url,
        file_name=outcome.file_name,
    )
