"""Requests to erase a person, in the table `runstate`, and the record of what was erased.

A request stands with its address until it is done; then only its record is left, with a keyed hash of the address. The
key stands in the table `items`, which nobody but the app may read: so the record tells whoever asks for an address
through the app, and nobody else, whether it was erased.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ..domain.erasure import Role, keyed_hash
from ..domain.errors import AlreadyExists, Changed, Missing
from ..ports import Delete, Entity, Insert, Replace, Row, Table

PARTITION = "erasure"
RECORDS = "erased"
_KEY = ("erasure", "key")
COUNTED = ("outcomes", "outcomelog", "items", "blobs")
"""What is counted: rows of the three tables, and blobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """A request and how far it has come.

    `stage` is what is gone through now, from `behind` on; `has_waiting` says that the pass met what cannot be erased
    yet. A pass that met such goes again, from `next_pass_at` on. `refusal` says why the app does not do it.
    """

    address: str
    role: Role
    asked_at: datetime
    stage: int = 0
    behind: str = ""
    began_at: datetime | None = None
    has_waiting: bool = False
    next_pass_at: datetime | None = None
    erased: Mapping[str, int] = field(default_factory=dict)
    refusal: str | None = None
    etag: str | None = field(default=None, compare=False)

    @property
    def request_id(self) -> str:
        """The same for whoever asks for the same."""
        return hashlib.sha256(f"{self.role}\0{self.address.lower()}".encode()).hexdigest()[:32]

    def counted(self, more: Mapping[str, int]) -> Mapping[str, int]:
        """What was erased, with so much more."""
        return dict(Counter(self.erased) + Counter(more))


class Erasures:
    """Reads and writes requests and records."""

    def __init__(self, runstate: Table) -> None:
        self._runstate = runstate

    async def ask(self, request: Erasure) -> None:
        """Ask for an erasure; one that is under way goes on as it is."""
        try:
            await self._runstate.write(Insert(_entity(request)))
        except AlreadyExists:
            standing = await self.standing(request.request_id)
            if standing is None or standing.refusal is not None:
                await self._runstate.write(Replace(_entity(request)))

    async def standing(self, request_id: str) -> Erasure | None:
        """The request as it stands, None once it is done."""
        row = await self._runstate.get(PARTITION, request_id)
        return None if row is None else _erasure(row)

    async def all_standing(self) -> list[Erasure]:
        """Every request that is not done."""
        return [_erasure(row) async for row in self._runstate.scan(PARTITION, "", "~")]

    async def put(self, request: Erasure) -> Erasure | None:
        """Write how far a request has come; None where another worker was faster."""
        try:
            etag = await self._runstate.write(Replace(_entity(request), request.etag))
        except (Changed, Missing):
            return None
        return replace(request, etag=etag)

    async def done(self, request: Erasure, digest: str, now: datetime) -> None:
        """Write the record of a request under what stands for its address, then take the request off."""
        entity: Entity = {
            "PartitionKey": RECORDS,
            "RowKey": f"{digest}-{request.role}",
            "AskedAt": request.asked_at,
            "ErasedAt": now,
            **{f"Erased{name.capitalize()}": request.erased.get(name, 0) for name in COUNTED},
        }
        await self._runstate.write(Replace(entity))
        try:
            await self._runstate.write(Delete(PARTITION, request.request_id, request.etag))
        except (Changed, Missing):
            return


class ErasureKey:
    """The key of the hashes in records, in the table `items`."""

    def __init__(self, items: Table) -> None:
        self._items = items

    async def hash_of(self, address: str) -> str:
        """What stands for an address in records; the key is made with the first."""
        row = await self._items.get(*_KEY)
        if row is None:
            entity: Entity = {"PartitionKey": _KEY[0], "RowKey": _KEY[1], "Key": secrets.token_hex(32)}
            with suppress(AlreadyExists):
                await self._items.write(Insert(entity))
            return await self.hash_of(address)
        return keyed_hash(bytes.fromhex(str(row.entity["Key"])), address)


def _entity(request: Erasure) -> Entity:
    entity: Entity = {
        "PartitionKey": PARTITION,
        "RowKey": request.request_id,
        "Address": request.address,
        "Role": request.role.value,
        "AskedAt": request.asked_at,
        "Stage": request.stage,
        "Behind": request.behind,
        "HasWaiting": request.has_waiting,
        **{f"Erased{name.capitalize()}": request.erased.get(name, 0) for name in COUNTED},
    }
    told = {"BeganAt": request.began_at, "NextPassAt": request.next_pass_at, "Refusal": request.refusal}
    return entity | {name: value for name, value in told.items() if value is not None}


def _erasure(row: Row) -> Erasure:
    entity = row.entity
    return Erasure(
        address=str(entity["Address"]),
        role=Role(str(entity["Role"])),
        asked_at=_time(entity["AskedAt"]),
        stage=int(str(entity["Stage"])),
        behind=str(entity["Behind"]),
        began_at=_time(entity["BeganAt"]) if "BeganAt" in entity else None,
        has_waiting=entity["HasWaiting"] is True,
        next_pass_at=_time(entity["NextPassAt"]) if "NextPassAt" in entity else None,
        erased={name: int(str(entity.get(f"Erased{name.capitalize()}", 0))) for name in COUNTED},
        refusal=str(entity["Refusal"]) if "Refusal" in entity else None,
        etag=row.etag,
    )


def _time(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"expected a time, found {type(value).__name__}")
    return value.astimezone(UTC)
