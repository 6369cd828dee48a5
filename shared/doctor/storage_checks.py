"""What the app and its host do to queues, tables and containers, rehearsed where it leaves nothing behind.

A message is put so that nobody sees it for a minute, given back as the host gives a failed one back, and taken away; it
expires within that minute by itself. Rows go into tables that only the app reads, in a partition of their own. The
pipelines' tables `outcomes`, `outcomelog` and `statistics` are read, never written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .findings import Result, ok, unclear, wrong
from .ports import Effects, StorageRefusedError, Store

PRIVATE_TABLES = frozenset({"worklist", "items", "runstate"})
WRITTEN_CONTAINERS = frozenset({"evidence", "rejected-messages"})
RELEASE = "release"
_POISON = "-poison"

Refusals = Mapping[str, StorageRefusedError]
"""What was refused, by where: the name of a store, or `store (step)`."""


async def reading(stores: Sequence[Store], role: str) -> Result:
    """Whether each store is there and can be read."""
    refused: dict[str, StorageRefusedError] = {}
    for store in stores:
        try:
            await store.read()
        except StorageRefusedError as error:
            refused[store.name] = error
    return _judged(refused, role, "all are there")


async def writing(stores: Sequence[Store], role: str) -> Result:
    """Whether everything that the app does to each store may be done."""
    return _judged(await _rehearse_all(stores), role, "done")


async def releasing(queues: Sequence[Store], role: str) -> Result:
    """Whether a message can be put on each queue, given back and deleted.

    What else fails on a poison queue is for the line about poisoning to tell.
    """
    refused = {
        place: error
        for place, error in (await _rehearse_all(queues)).items()
        if f"({RELEASE})" in place or f"{_POISON} " not in place
    }
    return _judged(refused, role, "done")


async def poisoning(queues: Sequence[Store], role: str) -> Result:
    """Whether a message can be moved to each poison queue, and deleted there."""
    poison = [queue for queue in queues if queue.name.endswith(_POISON)]
    refused = {place: error for place, error in (await _rehearse_all(poison)).items() if f"({RELEASE})" not in place}
    return _judged(refused, role, "done")


async def _rehearse_all(stores: Iterable[Store]) -> dict[str, StorageRefusedError]:
    refused = [(f"{store.name} ({step})", error) for store in stores for step, error in await rehearse(store.effects())]
    return dict(refused)


async def rehearse(effects: Effects) -> list[tuple[str, StorageRefusedError]]:
    """Take the steps in their order; returns those that were refused.

    Where the first is refused nothing is there, and the others are left out. Otherwise all are taken, so that what was
    put is taken away whatever happens in between.
    """
    refused: list[tuple[str, StorageRefusedError]] = []
    for number, (step, take) in enumerate(effects.items()):
        try:
            await take()
        except StorageRefusedError as error:
            refused.append((step, error))
            if number == 0:
                break
    return refused


def _judged(refused: Refusals, role: str, done: str) -> Result:
    if not refused:
        return ok(done)
    found = "; ".join(f"{place}: {error}" for place, error in refused.items())
    errors = list(refused.values())
    if all(_is_passing(error) for error in errors):
        return unclear(found)
    return wrong(found, _remedy(next(error for error in errors if not _is_passing(error)), role))


def _is_passing(error: StorageRefusedError) -> bool:
    return error.status is None or error.status in (408, 429) or error.status >= 500


def _remedy(error: StorageRefusedError, role: str) -> str:
    """What to do about a refusal, by its code (Azure Storage documentation, "Common REST API error codes")."""
    if error.status == 404:
        return (
            "It is not there: deploy infra/ again, which makes it. On this machine the app makes it at its first run."
        )
    if error.code == "AuthorizationFailure":
        return "The account's network rules refuse this place: ask the app itself with --in-app, or open the account."
    if error.code == "KeyBasedAuthenticationNotPermitted":
        return (
            "The account takes no keys: set the three SubmissionsStorage__...ServiceUri instead of SubmissionsStorage."
        )
    if error.status == 401 or error.code == "AuthenticationFailed":
        return "The account does not take the token: is the clock right, and TENANT_ID the account's tenant?"
    return (
        f"Give the identity `{role}` there (infra/modules/access.bicep). A new grant may take an hour to hold, and the "
        "roles Reader and Message Processor are too little for a queue."
    )
