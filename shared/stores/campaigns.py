"""Campaigns in the table `items`: those that agree in everything but their text stand in one row.

So one point read finds all that a mail may belong to, however many campaigns there ever were, and the campaigns that a
page of reports begins are written in one transaction. The ETag of the row guards who represents them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..domain import campaigns, keys
from ..domain.errors import AlreadyExists, Changed
from ..domain.model import OutcomeKey
from ..domain.representatives import Campaign, Representative
from ..ports import Entity, Insert, Replace, Row, Table
from .batches import write_each

_CAMPAIGNS = "campaign"


@dataclass(frozen=True, slots=True)
class StoredCampaigns:
    """The campaigns of one place, with the ETag that guards their next change; None where there were never any."""

    place: str
    campaigns: tuple[Campaign, ...] = ()
    etag: str | None = None


class CampaignStore:
    """Reads and writes the campaigns of one place at a time."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def get(self, place: str) -> StoredCampaigns:
        """The campaigns of a place."""
        row = await self._table.get(_CAMPAIGNS, place)
        return StoredCampaigns(place) if row is None else StoredCampaigns(place, _campaigns(row), row.etag)

    async def begin(self, first: Mapping[str, Sequence[Campaign]]) -> set[str]:
        """Write the first campaigns of places; returns the places that had none before."""
        writes = [Insert(_entity(place, campaigns)) for place, campaigns in first.items()]
        etags = await write_each(self._table, writes, AlreadyExists)
        return {place for place, etag in zip(first, etags, strict=True) if etag is not None}

    async def put(self, stored: StoredCampaigns, campaigns: Sequence[Campaign]) -> bool:
        """Write what became of a place's campaigns; False when somebody else changed them first."""
        entity = _entity(stored.place, campaigns)
        try:
            await self._table.write(Insert(entity) if stored.etag is None else Replace(entity, stored.etag))
        except (AlreadyExists, Changed):
            return False
        return True


def _entity(place: str, found: Sequence[Campaign]) -> Entity:
    entity: Entity = {"PartitionKey": _CAMPAIGNS, "RowKey": place}
    return entity | {f"C{one.campaign_id}": _written(one) for one in found}


def _campaigns(row: Row) -> tuple[Campaign, ...]:
    read = (_read(name[1:], str(value)) for name, value in row.entity.items() if _is_campaign(name))
    return tuple(one for one in read if one is not None)


def _is_campaign(column: str) -> bool:
    return column.startswith("C") and len(column) == 33


def _written(one: Campaign) -> str:
    speaking = [[*_pair(each.key), keys.epoch_ms(each.since), sorted(each.ids)] for each in one.representatives]
    fields = [keys.epoch_ms(one.seen_at), campaigns.encode(one.fingerprint), speaking]
    return json.dumps(fields, separators=(",", ":"))


def _read(campaign_id: str, text: str) -> Campaign | None:
    """The campaign; None where another version of the product wrote its fingerprint in another form."""
    seen_at, written, speaking = json.loads(text)
    try:
        fingerprint = campaigns.decode(written)
    except campaigns.UnreadableFingerprint:
        return None
    return Campaign(
        campaign_id,
        fingerprint,
        tuple(
            Representative(OutcomeKey(day, own_id), _time(since), frozenset(ids))
            for day, own_id, since, ids in speaking
        ),
        _time(seen_at),
    )


def _pair(key: OutcomeKey) -> tuple[str, str]:
    return key.partition, key.submission_id


def _time(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)
