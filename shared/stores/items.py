"""The table `items`: who speaks for an item at Microsoft, and which request ids are taken.

Microsoft counts items (for mail: network message id and recipient). The first row that makes a claim about an item
holds it; what follows from that is in `domain.item`. Every change of an item is one compare-and-swap. All items stand
in one partition, so that a page of reports is claimed in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..domain import keys
from ..domain.errors import AlreadyExists, Changed
from ..domain.item import Held, Item, is_claim_old
from ..domain.model import OutcomeKey
from ..ports import Clock, Entity, Insert, Replace, Row, Table
from .batches import write_each

_ITEMS = "item"
_REQUEST_ROW = "request"
_NAMES, _LAST = "learnt-names", "last"
NAMES_MATTER_FOR = timedelta(days=7)
"""Longer than a row stays open, and speaks after its verdict."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a row asserts of an item."""

    item_key: str
    claim: str
    key: OutcomeKey


@dataclass(frozen=True, slots=True)
class KnownRequest:
    """A request as first seen: its row, the digest of its content, and when that was."""

    key: OutcomeKey
    content_digest: str
    seen_at: datetime


class ItemStore:
    """Claims on items and request ids; the first writer wins, and asking again gives the same answer."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def hold(self, claims: Sequence[Claim]) -> list[Held]:
        """Make each claim, or learn who holds it already; earlier claims of the list come first.

        A row that held its claim long ago, and was not written then, holds it from now on: nobody takes it for gone.
        """
        now = self._clock.now()
        first = {claim.item_key: claim for claim in reversed(claims)}
        fresh = {claim.item_key: claim for claim in await self._inserted(list(first.values()), now)}
        return [
            Held(one.key, now) if fresh.get(one.item_key) is one else await self._changed(one, _claimed_if_free)
            for one in claims
        ]

    async def hand_over(
        self,
        claim: Claim,
        gone: OutcomeKey,
        is_gone: Callable[[Held], Awaitable[bool]],
        speaks: Callable[[OutcomeKey], Awaitable[bool]],
    ) -> Held:
        """Let the row hold the claim in place of `gone`, which does not speak for it; the answer is who holds it now.

        Where `gone` is a dispute that came to nothing, the latest row that disputes overruled and that still `speaks`
        holds the claim again. `is_gone` is asked between reading the item and its guarded write, with the claim as it
        stands, and must look at that row anew: it may be taken up again at any moment, and `renew` then follows. Where
        it says no, `gone` keeps the claim.
        """

        async def step(item: Item, one: Claim, now: datetime) -> Item:
            if item.holder_of(one.claim) not in (None, gone):
                return item
            if one.claim in item.claims and not await is_gone(item.claims[one.claim]):
                return item
            for earlier in reversed(item.overruled.get(one.claim, ())):
                if earlier not in (one.key, gone) and await speaks(earlier):
                    return item.claimed(one.claim, earlier, now)
            return item.claimed(one.claim, one.key, now)

        return await self._changed(claim, step)

    async def renew(self, claim: Claim) -> Held:
        """Hold the claim of a row that was just taken up again, unless another row took it over; who holds it now.

        The item is written even where nothing changes: who read it before, to take the claim over, reads it again.
        """
        return await self._changed(claim, _claimed_if_free, write_always=True)

    async def take(self, claim: Claim) -> Held:
        """Hold a claim whoever held it before: what disputes a verdict is submitted, and speaks from now on."""

        async def step(item: Item, one: Claim, now: datetime) -> Item:
            return item.overruling(one.claim, one.key, now)

        return await self._changed(claim, step)

    async def held(self, claim: Claim) -> Held | None:
        """Who holds the claim, and since when; None where nobody does."""
        row = await self._table.get(_ITEMS, claim.item_key)
        return None if row is None else _item(row).claims.get(claim.claim)

    async def is_claimed(self, item_key: str) -> bool:
        """Whether any row ever made a claim about the item."""
        return await self._table.get(_ITEMS, item_key) is not None

    async def overruled(self, claim: Claim) -> tuple[OutcomeKey, ...]:
        """The rows from which disputes took the claim."""
        row = await self._table.get(_ITEMS, claim.item_key)
        return () if row is None else _item(row).overruled.get(claim.claim, ())

    async def take_over(self, claim: Claim, member: OutcomeKey) -> Held:
        """Let the row hold the claim in place of `member`, which waits for its campaign, unless that one keeps it."""

        async def step(item: Item, one: Claim, now: datetime) -> Item:
            is_free = item.holder_of(one.claim) in (None, member) and one.claim not in item.kept
            return item.claimed(one.claim, one.key, now) if is_free else item

        return await self._changed(claim, step)

    async def keep(self, claim: Claim) -> Held:
        """Hold a claim from now on until it comes to nothing: who lets a covered row go asks for this first.

        The answer is who holds the claim: another row where one took it over before.
        """

        async def step(item: Item, one: Claim, now: datetime) -> Item:
            if item.holder_of(one.claim) == one.key:
                return item.keeping(one.claim)
            return await _claimed_if_free(item, one, now)

        return await self._changed(claim, step)

    async def learn(self, claim: Claim) -> None:
        """Hold a claim about an item under a name that it got after it was submitted, unless another row does."""
        await self.hold([claim])
        await self._table.write(Replace({"PartitionKey": _NAMES, "RowKey": _LAST, "At": self._clock.now()}))

    async def holders_of_learnt(self, claims: Sequence[Claim]) -> list[OutcomeKey | None]:
        """Who holds each claim under a name that was learnt of late; None where nobody does.

        One read where nothing was learnt within `NAMES_MATTER_FOR`, as nearly always.
        """
        last = await self._table.get(_NAMES, _LAST) if claims else None
        if last is None or self._clock.now() - _time(last.entity["At"]) > NAMES_MATTER_FOR:
            return [None] * len(claims)
        rows = [await self._table.get(_ITEMS, one.item_key) for one in claims]
        return [None if row is None else _item(row).holder_of(one.claim) for one, row in zip(claims, rows, strict=True)]

    async def first_seen(self, request: KnownRequest) -> KnownRequest:
        """The request as it was first seen under that submission id: this one, or an earlier one."""
        submission_id = request.key.submission_id
        entity: Entity = {
            "PartitionKey": submission_id,
            "RowKey": _REQUEST_ROW,
            "OutcomePartition": request.key.partition,
            "ContentDigest": request.content_digest,
            "SeenAt": request.seen_at,
        }
        try:
            await self._table.write(Insert(entity))
        except AlreadyExists:
            return await self.seen(submission_id) or request
        return request

    async def seen(self, submission_id: str) -> KnownRequest | None:
        """The request as it was first seen under that submission id, or None."""
        row = await self._table.get(submission_id, _REQUEST_ROW)
        return None if row is None else _known_request(row)

    async def _inserted(self, claims: Sequence[Claim], now: datetime) -> list[Claim]:
        """Those of the claims, one for each item, that are the first about their item."""
        writes = [Insert(_entity(one.item_key, Item().claimed(one.claim, one.key, now))) for one in claims]
        etags = await write_each(self._table, writes, AlreadyExists)
        return [one for one, etag in zip(claims, etags, strict=True) if etag is not None]

    async def _changed(self, claim: Claim, step: _Step, *, write_always: bool = False) -> Held:
        """Who holds the claim once the step was taken from the item as it stands; nobody was faster."""
        while True:
            now = self._clock.now()
            row = await self._table.get(_ITEMS, claim.item_key)
            before = Item() if row is None else _item(row)
            after = await step(before, claim, now)
            if (after == before and not write_always) or await self._written(claim.item_key, after, row):
                return after.claims[claim.claim]

    async def _written(self, item_key: str, item: Item, row: Row | None) -> bool:
        entity = _entity(item_key, item)
        try:
            await self._table.write(Insert(entity) if row is None else Replace(entity, row.etag))
        except (AlreadyExists, Changed):
            return False
        return True


_Step = Callable[[Item, Claim, datetime], Awaitable[Item]]


async def _claimed_if_free(item: Item, one: Claim, now: datetime) -> Item:
    held = item.claims.get(one.claim)
    if held is None:
        return item.claimed(one.claim, one.key, now)
    return item.renewed(one.claim, now) if held.holder == one.key and is_claim_old(held, now) else item


def _known_request(row: Row) -> KnownRequest:
    entity = row.entity
    key = OutcomeKey(str(entity["OutcomePartition"]), str(entity["PartitionKey"]))
    return KnownRequest(key, str(entity["ContentDigest"]), _time(entity["SeenAt"]))


def _time(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"expected a time, found {type(value).__name__}")
    return value.astimezone(UTC)


def _entity(item_key: str, item: Item) -> Entity:
    claims = {claim: _written_down(held) for claim, held in item.claims.items()}
    kept = sorted(item.kept & item.claims.keys())
    entity: Entity = {"PartitionKey": _ITEMS, "RowKey": item_key, "Claims": _json(claims), "Kept": _json(kept)}
    overruled = {
        claim: [[key.partition, key.submission_id] for key in told]
        for claim, told in item.overruled.items()
        if claim in claims and told
    }
    if overruled:
        entity["Overruled"] = _json(overruled)
    return entity


def _written_down(held: Held) -> list[str | int]:
    since = [] if held.since is None else [keys.epoch_ms(held.since)]
    return [held.holder.partition, held.holder.submission_id, *since]


def _item(row: Row) -> Item:
    claims = {claim: _held(*told) for claim, told in json.loads(str(row.entity["Claims"])).items()}
    overruled = json.loads(str(row.entity.get("Overruled", "{}")))
    return Item(
        claims,
        frozenset(json.loads(str(row.entity.get("Kept", "[]")))),
        {claim: tuple(OutcomeKey(*key) for key in told) for claim, told in overruled.items()},
    )


def _held(partition: str, submission_id: str, since: int | None = None) -> Held:
    at = None if since is None else datetime.fromtimestamp(since / 1000, UTC)
    return Held(OutcomeKey(partition, submission_id), at)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
