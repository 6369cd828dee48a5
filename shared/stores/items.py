"""The table `items`: who speaks for an item at Microsoft, and which request ids are taken.

Microsoft counts items (for mail: network message id and recipient). The first row that makes a claim about an item
holds it; a later row with the same claim is covered by the holder. A row with another claim about the same item is
submitted itself, after the earlier ones. All items stand in one partition, so that a page of reports is claimed in one
transaction.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.domain.errors import AlreadyExists, Changed
from shared.domain.model import OutcomeKey
from shared.ports import Entity, Insert, Replace, Row, Table
from shared.stores.batches import write_each

_ITEMS = "item"
_REQUEST_ROW = "request"


@dataclass(frozen=True, slots=True)
class Holding:
    """Who holds a claim, and who made other claims about the same item before."""

    holder: OutcomeKey
    earlier: tuple[OutcomeKey, ...] = ()


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

    def __init__(self, table: Table) -> None:
        self._table = table

    async def hold(self, claims: Sequence[Claim]) -> list[Holding]:
        """Make each claim, or learn who holds it already; earlier claims of the list come first."""
        first = {claim.item_key: claim for claim in reversed(claims)}
        fresh = {claim.item_key: claim for claim in await self._inserted(list(first.values()))}
        return [
            Holding(one.key) if fresh.get(one.item_key) is one else await self._settle_holder(one, replacing=None)
            for one in claims
        ]

    async def hand_over(self, claim: Claim, gone: OutcomeKey, is_gone: Callable[[], Awaitable[bool]]) -> Holding:
        """Let the row hold the claim in place of `gone`, which came to nothing; the answer names who holds it now.

        `is_gone` is asked between reading the item and its guarded write, and must look at that row anew: it may be
        taken up again at any moment, and `renew` then follows. Where it says no, `gone` keeps the claim.
        """
        return await self._settle_holder(claim, replacing=gone, is_gone=is_gone)

    async def renew(self, claim: Claim) -> Holding:
        """Hold the claim of a row that was just taken up again, unless another row took it over; who holds it now.

        The item is written even where nothing changes: who read it before, to take the claim over, reads it again.
        """
        while True:
            row = await self._table.get(_ITEMS, claim.item_key)
            claims, kept = ({}, frozenset[str]()) if row is None else (_claims(row), _kept(row))
            if claims.setdefault(claim.claim, claim.key) != claim.key:
                return _holding(claims, claim.claim)
            if await self._written(claim.item_key, claims, row, kept):
                return _holding(claims, claim.claim)

    async def take_over(self, claim: Claim, member: OutcomeKey) -> Holding:
        """Let the row hold the claim in place of `member`, which waits for its campaign, unless that one keeps it."""
        return await self._settle_holder(claim, replacing=member, unless_kept=True)

    async def keep(self, claim: Claim) -> Holding:
        """Hold a claim from now on until it comes to nothing: who lets a covered row go asks for this first.

        The answer names who holds the claim: another row where one took it over before.
        """
        while True:
            row = await self._table.get(_ITEMS, claim.item_key)
            if row is None or _claims(row).get(claim.claim) != claim.key or claim.claim in _kept(row):
                return await self._settle_holder(claim, replacing=None)
            if await self._written(claim.item_key, _claims(row), row, _kept(row) | {claim.claim}):
                return _holding(_claims(row), claim.claim)

    async def claimants(self, item_key: str) -> list[OutcomeKey]:
        """The rows that hold a claim about the item, in the order in which they came."""
        row = await self._table.get(_ITEMS, item_key)
        return [] if row is None else list(_claims(row).values())

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

    async def _inserted(self, claims: Sequence[Claim]) -> list[Claim]:
        """Those of the claims, one for each item, that are the first about their item."""
        writes = [Insert(_entity(one.item_key, {one.claim: one.key})) for one in claims]
        etags = await write_each(self._table, writes, AlreadyExists)
        return [one for one, etag in zip(claims, etags, strict=True) if etag is not None]

    async def _settle_holder(
        self,
        wanted: Claim,
        *,
        replacing: OutcomeKey | None,
        unless_kept: bool = False,
        is_gone: Callable[[], Awaitable[bool]] | None = None,
    ) -> Holding:
        while True:
            row = await self._table.get(_ITEMS, wanted.item_key)
            claims, kept = ({}, frozenset[str]()) if row is None else (_claims(row), _kept(row))
            if claims.get(wanted.claim, replacing) != replacing or (unless_kept and wanted.claim in kept):
                return _holding(claims, wanted.claim)
            if wanted.claim in claims and is_gone is not None and not await is_gone():
                return _holding(claims, wanted.claim)
            claims.pop(wanted.claim, None)  # a holder that comes later goes behind the other claims made by then
            claims[wanted.claim] = wanted.key
            if await self._written(wanted.item_key, claims, row, kept - {wanted.claim}):
                return _holding(claims, wanted.claim)

    async def _written(
        self, item_key: str, claims: dict[str, OutcomeKey], row: Row | None, kept: frozenset[str]
    ) -> bool:
        entity = _entity(item_key, claims) | {"Kept": json.dumps(sorted(kept))}
        try:
            await self._table.write(Insert(entity) if row is None else Replace(entity, row.etag))
        except (AlreadyExists, Changed):
            return False
        return True


def _known_request(row: Row) -> KnownRequest:
    entity = row.entity
    seen_at = entity["SeenAt"]
    if not isinstance(seen_at, datetime):
        raise TypeError("SeenAt is no time")
    key = OutcomeKey(str(entity["OutcomePartition"]), str(entity["PartitionKey"]))
    return KnownRequest(key, str(entity["ContentDigest"]), seen_at.astimezone(UTC))


def _holding(claims: dict[str, OutcomeKey], claim: str) -> Holding:
    """Claims are kept in the order in which their holders came."""
    names = list(claims)
    return Holding(claims[claim], tuple(claims[name] for name in names[: names.index(claim)]))


def _entity(item_key: str, claims: dict[str, OutcomeKey]) -> Entity:
    listed = {claim: [key.partition, key.submission_id] for claim, key in claims.items()}
    return {"PartitionKey": _ITEMS, "RowKey": item_key, "Claims": json.dumps(listed)}


def _claims(row: Row) -> dict[str, OutcomeKey]:
    return {claim: OutcomeKey(*pair) for claim, pair in json.loads(str(row.entity["Claims"])).items()}


def _kept(row: Row) -> frozenset[str]:
    """The claims whose holders go themselves, whatever their campaign does."""
    return frozenset(json.loads(str(row.entity.get("Kept", "[]"))))
