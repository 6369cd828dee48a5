"""What reading remembers, in memory and on a real table service; and what an earlier version left there."""

import asyncio
import hashlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.ports import Entity, Insert, ReportHead, Table
from shared.stores.checkpoints import (
    Checkpoint,
    CheckpointStore,
    DeferredReport,
    FolderContents,
    Listing,
    hash_of,
)
from shared.stores.looks import LastLook, LookStore
from tests.contract.conftest import Storage
from tests.support.stage import START

BOX, FOLDER = "reports@contoso.example", "inbox"
HOUR = timedelta(hours=1)
RESTING = Checkpoint(None, None, rests_until=START + HOUR)
LISTING = Checkpoint(
    "delta",
    START,
    START - HOUR,
    START - 6 * HOUR,
    Listing("whole", START - 6 * HOUR, 17, "x" * 70_000),
    START + HOUR,
    True,
)


def report(number: int, **facts: object) -> DeferredReport:
    """A deferred report."""
    known: dict[str, object] = {"head": ReportHead(f"AAMk{number}", START, "3|x", None), "first_failed_at": START}
    return DeferredReport(BOX, FOLDER, **{**known, **facts})  # type: ignore[arg-type]


@pytest.fixture
def table(storage: Storage) -> Table:
    """Return an empty table."""
    return storage.table


@pytest.mark.parametrize("checkpoint", [RESTING, LISTING, Checkpoint("delta", START)], ids=["rests", "lists", "plain"])
async def test_a_checkpoint_comes_back(table: Table, checkpoint: Checkpoint) -> None:
    """With its list under way, links of any length, and nothing of the one before."""
    store = CheckpointStore(table)
    for one in (LISTING, checkpoint):
        await store.put(BOX, FOLDER, one)
    assert (await store.read(BOX, FOLDER)).checkpoint == checkpoint


async def test_deferred_reports_come_back_as_they_were_written(table: Table) -> None:
    """One that is deferred already keeps its failures; what is updated has them as given."""
    store = CheckpointStore(table)
    left, failed = report(1, failures=0), report(2, failures=3, due_at=START + HOUR)
    await store.defer([left, failed])
    await store.defer([report(1), report(3)])
    begun = left.begun(START + HOUR)
    await store.update([begun])
    assert (begun.failures, begun.first_failed_at, begun.is_begun) == (1, START + HOUR, True)
    found = {one.head.message_id: one for one in (await store.read(BOX, FOLDER)).deferred}
    assert found == {"AAMk1": begun, "AAMk2": failed, "AAMk3": report(3)}


async def test_many_deferred_reports_are_done_together(table: Table) -> None:
    """More than a transaction holds; one that is gone already does not keep the others."""
    store = CheckpointStore(table)
    reports = [report(number) for number in range(120)]
    await store.defer(reports)
    await store.done(reports[60])
    await store.done(*reports[:119])
    assert (await store.read(BOX, FOLDER)).deferred == [reports[119]]


async def test_the_last_list_of_a_folder_replaces_the_one_before(table: Table) -> None:
    """Page by page both are kept; from its end on, only what the new one told."""
    contents = FolderContents(table)
    first, second = Listing("whole", START), Listing("whole", START + 6 * HOUR)
    await contents.add(BOX, FOLDER, first, ["a", "b"])
    await contents.add(BOX, FOLDER, Listing("whole", START, pages=1), ["c"])
    await contents.complete(BOX, FOLDER, first)
    await contents.add(BOX, FOLDER, second, ["c", "d"])
    assert await contents.known(BOX, FOLDER) == {hash_of(one) for one in "abcd"}
    await contents.complete(BOX, FOLDER, second)
    assert await contents.known(BOX, FOLDER) == {hash_of(one) for one in "cd"}
    assert await contents.known(BOX, "other") == frozenset()


async def test_two_workers_may_complete_a_list_at_once(table: Table) -> None:
    """What the one has deleted already stops the other at nothing."""
    contents = FolderContents(table)
    first, second = Listing("whole", START), Listing("whole", START + HOUR)
    for page in range(3):
        await contents.add(BOX, FOLDER, replace(first, pages=page), [f"old {page}"])
    await contents.add(BOX, FOLDER, second, ["new"])
    await asyncio.gather(*(contents.complete(BOX, FOLDER, second) for _ in range(3)))
    assert await contents.known(BOX, FOLDER) == {hash_of("new")}


async def test_a_look_in_parts_comes_back(table: Table) -> None:
    """Where it goes on and when; a link that no property holds begins the list anew."""
    store = LookStore(table)
    look = LastLook(START, START - HOUR, START + HOUR, "next", 3, is_lacking=True, lacking_since=START - HOUR)
    await store.put("alerts", look)
    assert await store.last("alerts") == look
    await store.put("alerts", LastLook(START, None, resume="x" * 40_000))
    assert await store.last("alerts") == LastLook(START, None)


async def test_what_an_earlier_version_left_is_read(table: Table) -> None:
    """A checkpoint, a deferred report and a look without the columns that came later."""
    store = CheckpointStore(table)
    partition = hashlib.sha256(f"{BOX}/{FOLDER}".encode()).hexdigest()[:32]
    row = f"deferred-{hashlib.sha256(b'AAMk1').hexdigest()[:32]}"
    head = json.dumps(["AAMk1", START.isoformat(), "3|x", None])
    old: list[Entity] = [
        {"PartitionKey": partition, "RowKey": "checkpoint", "Resume00": "delta", "SavedAt": START, "ListedAt": START},
        {"PartitionKey": partition, "RowKey": row, "Head": head, "FirstFailedAt": START},
        {"PartitionKey": "source-alerts", "RowKey": "look", "BeganAt": START},
    ]
    for entity in old:
        await table.write(Insert(entity))
    assert (await store.read(BOX, FOLDER)).checkpoint == Checkpoint("delta", START, START)
    assert (await store.read(BOX, FOLDER)).deferred == [report(1)]
    assert await LookStore(table).last("alerts") == LastLook(START, None)
