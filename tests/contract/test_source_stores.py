"""What the sources remember, in memory and on a real table service."""

from datetime import timedelta

from shared.domain import keys
from shared.domain.model import OutcomeKey
from shared.stores.already_at_microsoft import AlreadyAtMicrosoft
from shared.stores.looks import AskedFor, LastLook, LookStore
from tests.contract.conftest import Storage
from tests.support.stage import START

FIRST, SECOND = OutcomeKey("20261123", "a" * 32), OutcomeKey("20261124", "b" * 32)
ONE, OTHER = keys.microsoft_id("one"), keys.microsoft_id("other")


async def test_who_notes_a_key_first_is_what_it_stands_for(storage: Storage) -> None:
    """Noting again changes nothing; the keys are asked in their order, and an unknown one stands for nothing."""
    store = AlreadyAtMicrosoft(storage.table)
    await store.note([ONE], FIRST)
    await store.note([ONE, OTHER], SECOND)
    assert await store.find([ONE]) == FIRST
    assert await store.find([keys.microsoft_id("third"), OTHER, ONE]) == SECOND
    assert await store.find([]) is None
    assert await store.find([keys.microsoft_id("third")]) is None


async def test_a_look_is_remembered(storage: Storage) -> None:
    """When it began, and since when everything is complete, if ever."""
    store = LookStore(storage.table)
    assert await store.last("alerts") is None
    await store.put("alerts", LastLook(START, None))
    assert await store.last("alerts") == LastLook(START, None)
    await store.put("alerts", LastLook(START + timedelta(minutes=1), START))
    assert await store.last("alerts") == LastLook(START + timedelta(minutes=1), START)
    assert await store.last("hunting") is None


async def test_what_was_asked_for_is_remembered(storage: Storage) -> None:
    """From the given day on; twice is once."""
    store = AskedFor(storage.table, "hunting_query")
    await store.add("hunting-1", START)
    await store.add("hunting-1", START)
    assert await store.since(START) == {"hunting-1"}
    assert await store.since(START + timedelta(days=1)) == set()
