"""What administrators ask for, in memory and on a real table service."""

from dataclasses import replace
from datetime import timedelta

from shared.domain.model import OutcomeKey
from shared.ports import Entity, Replace
from shared.stores.replays import HANDLED_AT_ONCE, PARTITION, ReplayRequest, Replays
from tests.contract.conftest import Storage, later
from tests.support.stage import START

FIRST, SECOND = OutcomeKey("20261123", "a" * 32), OutcomeKey("20261122", "b" * 32)
ONE, OTHER = ReplayRequest(FIRST, 'W/"1"', START), ReplayRequest(SECOND, 'W/"2"', START - timedelta(minutes=1))


async def test_requests_come_back_oldest_first_until_they_are_done(storage: Storage) -> None:
    """As they were asked for; a done one is gone, and doing it again is nothing."""
    replays = Replays(storage.table, storage.clock)
    assert await replays.waiting() == []
    await replays.ask([ONE, OTHER])
    waiting = await replays.waiting()
    assert waiting == [OTHER, ONE]
    assert await replays.waiting_ids() == {FIRST.submission_id, SECOND.submission_id}
    await replays.done(waiting[0])
    await replays.done(waiting[0])
    assert await replays.waiting() == [ONE]


async def test_a_newer_request_for_the_row_is_not_taken_off(storage: Storage) -> None:
    """Asked again while the app was at it: the newer one stands in the older one's place, and stays."""
    replays = Replays(storage.table, storage.clock)
    await replays.ask([ONE])
    (older,) = await replays.waiting()
    newer = replace(ONE, version='W/"3"', asked_at=START + timedelta(minutes=1))
    await replays.ask([newer])
    await replays.done(older)
    assert await replays.waiting() == [newer]


async def test_what_the_app_asks_for_itself_stands(storage: Storage) -> None:
    """An administrator's request is forgotten after an hour; the app may have stood still for longer than that."""
    replays = Replays(storage.table, storage.clock)
    own = replace(OTHER, is_apps_own=True)
    await replays.ask([ONE, own])
    later(storage.clock, hours=2)
    waiting = await replays.waiting()
    assert waiting == [own, ONE]
    assert [replays.is_forgotten(one) for one in waiting] == [False, True]


async def test_the_last_of_two_for_one_row_counts(storage: Storage) -> None:
    """A transaction may write a row once only."""
    replays = Replays(storage.table, storage.clock)
    newer = replace(ONE, version='W/"3"')
    await replays.ask([ONE, newer])
    assert await replays.waiting() == [newer]


async def test_many_are_asked_for_at_once_and_done_by_and_by(storage: Storage) -> None:
    """More than a transaction holds; a run gets the oldest."""
    replays = Replays(storage.table, storage.clock)
    many = [
        ReplayRequest(OutcomeKey("20261123", f"{number:032x}"), 'W/"1"', START + timedelta(seconds=number))
        for number in range(HANDLED_AT_ONCE + 1)
    ]
    await replays.ask(list(reversed(many)))
    assert await replays.waiting() == many[:-1]
    assert len(await replays.waiting_ids()) == len(many)


async def test_a_row_that_is_no_request_is_passed_over(storage: Storage) -> None:
    """Administrators may write to this table: a bad row holds nobody up."""
    replays = Replays(storage.table, storage.clock)
    good: Entity = {"PartitionKey": PARTITION, "OutcomePartition": "20261123", "Version": "1", "AskedAt": START}
    bad: list[Entity] = [
        {**good, "OutcomePartition": "../x"},
        {**good, "AskedAt": "today"},
        {"PartitionKey": PARTITION},
    ]
    await storage.table.write_all([Replace({**row, "RowKey": f"bad-{number}"}) for number, row in enumerate(bad)])
    await replays.ask([ONE])
    assert await replays.waiting() == [ONE]


async def test_an_hour_later_a_request_is_forgotten(storage: Storage) -> None:
    """Up to the hour it is begun."""
    replays = Replays(storage.table, storage.clock)
    storage.clock.time = START + timedelta(minutes=59)
    assert not replays.is_forgotten(ONE)
    storage.clock.time = START + timedelta(minutes=61)
    assert replays.is_forgotten(ONE)
