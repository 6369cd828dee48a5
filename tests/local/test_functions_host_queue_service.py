"""The contract of the queue services: the one in memory and the one over the wire answer alike."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from local.functions_host import (
    InMemoryQueueService,
    MessageNotFoundError,
    PopReceiptMismatchError,
    QueueNotFoundError,
    QueueService,
    QueueServiceError,
    ReceivedMessage,
    SimulatedClock,
)
from local.functions_host.azure_queue import AzureQueueService
from local.functions_host.status_store import BlobStatusStore, InMemoryStatusStore, StatusStore, StatusStoreError

QUEUE = "contract"
NO_QUEUE = "nowhere"


@dataclass
class Subject:
    """A service under contract and the way to let its time pass."""

    service: QueueService
    wait: Callable[[float], Awaitable[None]]

    async def take(self, count: int = 32, visibility_timeout_s: int = 30) -> list[ReceivedMessage]:
        """Get messages from the queue under test."""
        return await self.service.get(QUEUE, count, visibility_timeout_s)


@pytest.fixture(params=["memory", "azurite"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """Each service in turn, with one empty queue."""
    if request.param == "memory":
        clock = SimulatedClock()
        memory = InMemoryQueueService(clock)
        await memory.create(QUEUE)
        yield Subject(memory, clock.advance)
        return
    async with AzureQueueService(request.getfixturevalue("storage_connection")) as azure:
        await azure.create(QUEUE)
        yield Subject(azure, asyncio.sleep)  # the emulator's clock is real


async def test_exists_and_create_twice(subject: Subject) -> None:
    """A queue exists once created, and creating it again is no error."""
    assert not await subject.service.exists(NO_QUEUE)
    await subject.service.create(NO_QUEUE)
    await subject.service.create(NO_QUEUE)
    assert await subject.service.exists(NO_QUEUE)


@pytest.mark.parametrize("text", ["plain", "", "<é>&\n\t", "aGVsbG8=", '{"id":"x"}', "x" * 65_536])
async def test_text_comes_back_verbatim(subject: Subject, text: str) -> None:
    """What is put is what is got: no encoding, no decoding."""
    await subject.service.put(QUEUE, text)
    assert [message.text for message in await subject.take()] == [text]


async def test_received_fields(subject: Subject) -> None:
    """A first get counts 1, hides for what was asked, and its times are aware whole seconds."""
    await subject.service.put(QUEUE, "a")
    (message,) = await subject.take(visibility_timeout_s=600)
    hidden = message.next_visible_at - message.inserted_at
    assert (message.dequeue_count, message.inserted_at.microsecond) == (1, 0)
    assert timedelta(seconds=600) <= hidden <= timedelta(seconds=602)
    assert message.expires_at - message.inserted_at == timedelta(days=7)


async def test_time_to_live_minus_one(subject: Subject) -> None:
    """A time to live of -1 is shown as the end of the calendar."""
    await subject.service.put(QUEUE, "a", time_to_live_s=-1)
    (message,) = await subject.take()
    assert message.expires_at.year == 9999


async def test_get_takes_no_more_than_asked_and_nothing_twice(subject: Subject) -> None:
    """A get returns up to `count` messages, oldest first, and the next get only the others."""
    for text in "abcde":
        await subject.service.put(QUEUE, text)
    first, rest, none = await subject.take(3), await subject.take(), await subject.take()
    assert ([m.text for m in first], [m.text for m in rest], none) == (["a", "b", "c"], ["d", "e"], [])


async def test_visibility_timeout_ends(subject: Subject) -> None:
    """When the visibility timeout ends the message is got again, counted up, under a new receipt."""
    await subject.service.put(QUEUE, "a")
    (first,) = await subject.take(visibility_timeout_s=1)
    await subject.wait(2.1)
    (second,) = await subject.take()
    assert (second.id, second.dequeue_count) == (first.id, 2)
    assert second.pop_receipt != first.pop_receipt
    with pytest.raises(PopReceiptMismatchError):
        await subject.service.delete(QUEUE, first.id, first.pop_receipt)


async def test_put_with_delay_and_time_to_live(subject: Subject) -> None:
    """A delayed message appears when its delay is over, and one whose time to live is over does not."""
    await subject.service.put(QUEUE, "delayed", visibility_timeout_s=2)
    await subject.service.put(QUEUE, "short", time_to_live_s=1)
    await subject.service.put(QUEUE, "hidden", visibility_timeout_s=60)
    await subject.wait(2.2)
    assert [message.text for message in await subject.take()] == ["delayed"]


async def test_update_hides_anew_and_keeps_the_text(subject: Subject) -> None:
    """An update gives a new receipt and visibility, the text stays, and the old receipt is void."""
    await subject.service.put(QUEUE, "a")
    (message,) = await subject.take()
    receipt = await subject.service.update(QUEUE, message.id, message.pop_receipt, 0)
    assert receipt != message.pop_receipt
    with pytest.raises(PopReceiptMismatchError):
        await subject.service.update(QUEUE, message.id, message.pop_receipt, 0)
    (again,) = await subject.take()
    assert (again.text, again.dequeue_count) == ("a", 2)
    await subject.service.delete(QUEUE, again.id, again.pop_receipt)
    assert await subject.take() == []


async def test_expired_message_is_not_found(subject: Subject) -> None:
    """A message that expires while it is held answers 404 to update and delete."""
    await subject.service.put(QUEUE, "a", time_to_live_s=2)
    (message,) = await subject.take()
    await subject.wait(3.1)
    with pytest.raises(MessageNotFoundError):
        await subject.service.update(QUEUE, message.id, message.pop_receipt, 0)
    with pytest.raises(MessageNotFoundError):
        await subject.service.delete(QUEUE, message.id, message.pop_receipt)


async def test_deleted_message_is_not_found(subject: Subject) -> None:
    """A second delete and a late update answer 404 MessageNotFound."""
    await subject.service.put(QUEUE, "a")
    (message,) = await subject.take()
    await subject.service.delete(QUEUE, message.id, message.pop_receipt)
    with pytest.raises(MessageNotFoundError):
        await subject.service.delete(QUEUE, message.id, message.pop_receipt)
    with pytest.raises(MessageNotFoundError):
        await subject.service.update(QUEUE, message.id, message.pop_receipt, 0)


async def test_missing_queue(subject: Subject) -> None:
    """Every operation on a missing queue answers 404 QueueNotFound, and none creates it."""
    await subject.service.put(QUEUE, "a")
    (message,) = await subject.take()
    for operation in (
        subject.service.get(NO_QUEUE, 1, 30),
        subject.service.put(NO_QUEUE, "a"),
        subject.service.update(NO_QUEUE, message.id, message.pop_receipt, 0),
        subject.service.delete(NO_QUEUE, message.id, message.pop_receipt),
    ):
        with pytest.raises(QueueNotFoundError):
            await operation
    assert not await subject.service.exists(NO_QUEUE)


async def test_control_character_makes_its_batch_unreadable(subject: Subject) -> None:
    """A batch with a character that XML cannot carry fails as a whole and stays hidden."""
    await subject.service.put(QUEUE, "fine")
    await subject.service.put(QUEUE, "bad\x01")
    with pytest.raises(QueueServiceError):
        await subject.take()
    assert await subject.take() == []


async def test_unreachable_service_is_a_service_error() -> None:
    """An emulator that is away raises `QueueServiceError` after one attempt, not an error of the client library."""
    connection = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;QueueEndpoint=http://127.0.0.1:1/a;"
    async with AzureQueueService(connection) as service:
        with pytest.raises(QueueServiceError):
            await service.get(QUEUE, 1, 30)


@pytest.fixture(params=["memory", "azurite"])
async def statuses(request: pytest.FixtureRequest) -> AsyncIterator[StatusStore]:
    """Each status store in turn, empty."""
    if request.param == "memory":
        yield InMemoryStatusStore()
        return
    async with BlobStatusStore(request.getfixturevalue("storage_connection"), "hostid") as blobs:
        yield blobs


async def test_status_is_the_last_one_written(statuses: StatusStore) -> None:
    """A function without a status has none; then the last text written, each function its own."""
    assert await statuses.read("one") is None
    await statuses.write("one", "a")
    await statuses.write("one", "b")
    await statuses.write("two", "c")
    assert [await statuses.read(name) for name in ("one", "two", "three")] == ["b", "c", None]


async def test_unreachable_status_store() -> None:
    """A status store that is away raises `StatusStoreError`, with which a timer goes on."""
    connection = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;BlobEndpoint=http://127.0.0.1:1/a;"
    async with BlobStatusStore(connection, "hostid") as blobs:
        with pytest.raises(StatusStoreError):
            await blobs.read("one")
