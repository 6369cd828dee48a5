"""Replay: take up rows that failed or were rejected, because an administrator asked for them.

    keep     what is to be submitted, in the row's entry of the worklist
    row      `failed` or `rejected` -> `pending`, `uncertain` or `covered`, guarded by the version that was asked for
    claim    verified behind the row: a row whose claim another took over meanwhile is covered by that one
    entry    put where dispatch, reconcile or the follower finds it; the request goes last

Each step may be repeated, and a stop in between is made good at the next run from the kept entry. The one rule: nothing
is put in line before its claim was verified, and what may be at Microsoft is looked up there first.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ...domain.errors import GraphError, NotAllowed
from ...domain.lifecycle import IllegalTransition, is_final, move
from ...domain.model import Outcome, OutcomeKey, Source, State
from ...domain.planner import CLOCK_MARGIN, WINDOW
from ...domain.replays import REPLAYED, CannotReplay, Way, refused_detail, way_of
from ...domain.submissions import Material
from ...ports import Clock
from ...stores.items import ItemStore
from ...stores.ledger import KEPT, Ledger, Stored, WorkItem
from ...stores.replays import ReplayRequest, Replays
from ...telemetry import Event, emit
from ..mailboxes import tell_unreachable
from ..sending.admission import Admission, Candidate, Claimed
from ..sending.claims import Claims, claim_of
from .rereading import Rereader

RUN_TIME = timedelta(minutes=2)
"""A run takes up no more rows after this: verdicts wait for it."""
_NOT_ALLOWED = "not_allowed", "Graph does not let the app read the mailbox: allow it, then replay again."
_EVIDENCE_DAYS = "evidence_days", "EVIDENCE_DAYS is over for it: have it reported or ask for it anew."


class Replay:
    """The use case behind what administrators ask for; runs within `settle_outcomes`."""

    def __init__(
        self,
        *,
        replays: Replays,
        ledger: Ledger,
        items: ItemStore,
        admission: Admission,
        rereader: Rereader,
        evidence_days: int,
        clock: Clock,
    ) -> None:
        self._replays = replays
        self._ledger = ledger
        self._items = items
        self._claims = Claims(ledger, items, clock)
        self._admission = admission
        self._rereader = rereader
        self._evidence_days = evidence_days
        self._clock = clock
        self._unanswered: frozenset[str] = frozenset()
        self._silent_mailboxes: set[str] = set()

    async def run(self) -> None:
        """Do or refuse what was asked for, or leave it to the next run; only trouble of the rows' own storage rises."""
        stop_at = self._clock.now() + RUN_TIME
        unanswered: set[str] = set()
        self._silent_mailboxes.clear()
        for request in await self._asked_for():
            if self._clock.now() >= stop_at:
                break
            if await self._is_answered(request):
                await self._replays.done(request)
            else:
                unanswered.add(request.key.submission_id)
        self._unanswered = frozenset(unanswered)

    async def _asked_for(self) -> list[ReplayRequest]:
        """The requests, those that the last run had no answer for at the end: they may take up the time of all others.

        None where they cannot be read, as verdicts do not wait for them.
        """
        try:
            waiting = await self._replays.waiting()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no trouble of the settling
            emit(Event.REPLAYS_UNREAD, error=type(error).__name__)
            return []
        return sorted(waiting, key=lambda one: one.key.submission_id in self._unanswered)

    async def _is_answered(self, request: ReplayRequest) -> bool:
        """Whether the request was done or refused."""
        try:
            return await self._take_up(request)
        except CannotReplay as refusal:
            await self._refuse(request, refusal)
        except (IllegalTransition, LookupError, TypeError, ValueError) as error:
            # Whatever is wrong with this row or request, the others are answered.
            emit(Event.REPLAY_REFUSED, submission_id=request.key.submission_id, reason=type(error).__name__)
        return True

    async def _refuse(self, request: ReplayRequest, refusal: CannotReplay) -> None:
        """Tell why not, also in the row, unless that has changed since: then it tells what is newer."""
        emit(Event.REPLAY_REFUSED, submission_id=request.key.submission_id, reason=refusal.reason)
        stored = await self._ledger.get(request.key)
        if stored is None or stored.etag != request.version or stored.outcome.state not in KEPT:
            return
        told = replace(stored.outcome, state_detail=refused_detail(stored.outcome.state_detail, refusal))
        await self._ledger.amend(stored, told)

    async def _take_up(self, request: ReplayRequest) -> bool:
        """Take one row up, or go on where an earlier run stopped; whether that is done."""
        stored = await self._ledger.get(request.key)
        if stored is None:
            raise CannotReplay("no_such_row", "There is no such row.")
        item = await self._ledger.kept(request.key.submission_id)
        if stored.etag != request.version:
            return await self._go_on(item, stored)
        if self._replays.is_forgotten(request):
            raise CannotReplay("asked_too_long_ago", "It could not be done within the hour: ask again.")
        way = way_of(stored.outcome, self._clock.now())
        candidate = await self._candidate(way, stored.outcome, item)
        return candidate is not None and await self._begin(way, stored, item, candidate)

    async def _go_on(self, item: WorkItem | None, stored: Stored) -> bool:
        """Make good what an earlier run did not come to."""
        outcome = stored.outcome
        is_ours = item is not None and _is_as_taken_up(outcome)
        if is_ours or outcome.dispatched_at is None:
            await self._ledger.ensure_logged(outcome)
        if item is not None and is_ours:
            return await self._place(item, stored, None)
        if item is not None and outcome.state not in KEPT:
            await (self._ledger.file(item, stored) if is_final(outcome.state) else self._ledger.remove([item]))
        if is_final(outcome.state):
            raise CannotReplay("changed_since", "It has changed since it was asked for: look at it again.")
        return True

    async def _candidate(self, way: Way, outcome: Outcome, item: WorkItem | None) -> Candidate | None:
        """The row as it would go now; None while Graph is silent, or while a stop has left its entry elsewhere."""
        if way is Way.TAKE_IN:
            return await self._read_again(outcome)
        if item is not None and item.material != Material():
            waiting = replace(outcome, state=State.PENDING, state_reason=None, state_detail=None, covered_by=None)
            return Candidate(waiting, item.material)
        entry = await self._ledger.find(outcome)
        if entry is not None and entry.outcome.state not in KEPT:
            return None
        raise CannotReplay("nothing_kept", "Nothing is kept of what was to be submitted: ask for the item anew.")

    async def _read_again(self, outcome: Outcome) -> Candidate | None:
        """The row as it reads today; None while its mailbox is silent, which is asked once in a run."""
        mailbox = outcome.mailbox or ""
        if mailbox in self._silent_mailboxes:
            return None
        try:
            candidate = await self._read(outcome)
        except NotAllowed as error:
            tell_unreachable(mailbox, error)
            raise CannotReplay(*_NOT_ALLOWED) from error
        except GraphError as error:
            tell_unreachable(mailbox, error)
            self._silent_mailboxes.add(mailbox)
            return None
        if candidate.material.evidence is not None and self._is_past_evidence_days(outcome):
            raise CannotReplay(*_EVIDENCE_DAYS)
        return candidate

    async def _read(self, outcome: Outcome) -> Candidate:
        """What it was made from, read again. Whatever a hostile mail breaks is that row's alone."""
        try:
            return await self._rereader.candidate(outcome)
        except (CannotReplay, GraphError):
            raise
        except Exception as error:
            raise CannotReplay(
                "reading_failed", f"Reading it failed ({type(error).__name__}): replay it again, or ask for it anew."
            ) from error

    def _is_past_evidence_days(self, outcome: Outcome) -> bool:
        """Whether originals of the row's day are kept no longer: what is gone for good is not fetched anew."""
        oldest = self._clock.now() - timedelta(days=self._evidence_days)
        return outcome.received_at.date() < oldest.date()

    async def _begin(self, way: Way, stored: Stored, item: WorkItem | None, candidate: Candidate) -> bool:
        if candidate.outcome.state is State.REJECTED:
            await self._reject_again(stored, candidate.outcome)
        await self._look_at_the_holder(candidate.outcome)
        claimed = (await self._admission.claim([candidate]))[0]
        await self._expedite(claimed)
        kept = await self._kept(stored, item, claimed)
        after = _after(way, stored.outcome, claimed.candidate.outcome)
        done = await self._ledger.advance(stored, after)
        return await (self._place(kept, done, way) if done is not None else self._overtaken(kept))

    async def _kept(self, stored: Stored, item: WorkItem | None, claimed: Claimed) -> WorkItem:
        """The row's kept entry with what is to be submitted and who covers it, as it stands in the worklist now."""
        material, holder = claimed.candidate.material, claimed.holder
        if item is None:
            entry = WorkItem(
                outcome=stored.outcome,
                etag=stored.etag,
                material=material,
                due_at=stored.outcome.received_at,
                holder=holder,
            )
            await self._ledger.add(entry, stored)
        else:
            await self._ledger.file(item, stored, {"material": material})
        kept = await self._ledger.kept(stored.outcome.key.submission_id)
        return replace(kept or item or entry, holder=holder)

    async def _overtaken(self, kept: WorkItem) -> bool:
        """Look at a row anew that somebody else moved on: the entry that was just written is not left behind it."""
        stored = await self._ledger.get(kept.outcome.key)
        return stored is not None and await self._go_on(kept, stored)

    async def _reject_again(self, stored: Stored, rejected: Outcome) -> None:
        """Keep why the request cannot be taken in now either, and refuse."""
        reason, detail = rejected.state_reason or "", rejected.state_detail
        if stored.outcome.state is State.REJECTED:
            after = replace(stored.outcome, state_reason=reason, state_detail=detail)
            await self._ledger.amend(stored, after)
        else:
            after = move(stored.outcome, State.REJECTED, reason=reason, detail=detail)
            await self._ledger.advance(stored, after)
        raise CannotReplay(reason, detail or reason)

    async def _look_at_the_holder(self, outcome: Outcome) -> None:
        """Refuse where the row that took the claim over may be at Microsoft itself: that one is looked up first."""
        claim = claim_of(outcome)
        if claim is None:
            return
        holder = await self._claims.unless_left_to_campaign(claim, (await self._items.hold([claim]))[0].holder)
        if holder == outcome.key:
            return
        stored = await self._ledger.get(holder)
        if stored is not None and stored.outcome.state in KEPT and _way(stored.outcome) is Way.LOOK_UP:
            raise CannotReplay(
                "holder_unknown", f"{holder.submission_id} took its place and may be at Microsoft: replay that one."
            )

    async def _expedite(self, claimed: Claimed) -> None:
        outcome = claimed.candidate.outcome
        if claimed.holder is not None and outcome.source is Source.MANUAL and outcome.priority is not None:
            await self._admission.expedite(claimed.holder, outcome.priority)

    async def _place(self, kept: WorkItem, stored: Stored, way: Way | None) -> bool:
        """Put the entry of a row that was taken up where it is acted on; False where somebody moved either on."""
        placed: tuple[Stored, OutcomeKey | None] | None = (stored, kept.holder)
        if stored.outcome.state in (State.PENDING, State.UNCERTAIN):
            placed = await self._claims.verified(stored)
        if placed is None:
            return False
        row, holder = placed
        fresh: dict[str, Any] = {"failures": 0, "throttled": 0, "tries": 0, "refused_at": None, "holder": holder}
        if not await self._ledger.file(kept, row, fresh | _timing(kept, row.outcome, self._clock.now())):
            return False
        emit(Event.REPLAYED, submission_id=row.outcome.key.submission_id, state=row.outcome.state, way=way)
        return True


def _after(way: Way, before: Outcome, claimed: Outcome) -> Outcome:
    """The row as it is taken up. Raises `IllegalTransition` where the table of states has no such step."""
    after = replace(claimed, collected_at=before.collected_at, attempts=before.attempts)
    if claimed.state is State.PENDING:
        state = State.UNCERTAIN if way is Way.LOOK_UP else State.PENDING
        after = replace(after, state=state, state_reason=REPLAYED)
    move(before, after.state)
    return after if after.state is State.UNCERTAIN else replace(after, dispatched_at=None)


def _timing(item: WorkItem, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """When the row may go: not before Microsoft takes the item again after a POST that it refused."""
    if outcome.state is State.UNCERTAIN:
        return {}
    may_go_at = now if item.sent_at is None else max(now, item.sent_at + WINDOW + CLOCK_MARGIN)
    return {"due_at": now if outcome.state is State.COVERED else may_go_at, "sent_at": None}


def _is_as_taken_up(outcome: Outcome) -> bool:
    """Whether nobody has moved the row on since a replay wrote it: its kept entry is the one to be put in line.

    A row that was sent since is `uncertain` for another reason, and has an entry that knows when.
    """
    return outcome.state is State.COVERED or (
        outcome.state in (State.PENDING, State.UNCERTAIN) and outcome.state_reason == REPLAYED
    )


def _way(outcome: Outcome) -> Way | None:
    """How a row would be taken up, None where it would not; however old it is."""
    try:
        return way_of(outcome, outcome.received_at)
    except CannotReplay:
        return None
