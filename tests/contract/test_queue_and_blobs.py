"""What every `WorkQueue` and `BlobStore` does, in memory and over Azurite alike."""

import asyncio
import json

import pytest

from shared.ports import BlobStore
from tests.contract.conftest import Storage, later


@pytest.fixture
def blobs(storage: Storage) -> BlobStore:
    """Return an empty container."""
    return storage.blobs


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"schemaVersion": 1, "id": "x", "etag": "W/\"datetime'2026'\""}),
        '{"text": "日本語 \U0001f3a3"}',
        "eyJrZXkiOiAxfQ==",
        "<xml>&amp;</xml> & < > \" '",
        "two\nlines\twith blanks ",
        "x" * 48 * 1024,
    ],
    ids=["json", "unicode", "base64", "markup", "blanks", "48KiB"],
)
async def test_a_message_arrives_as_it_was_sent(storage: Storage, body: str) -> None:
    """Nothing encodes, escapes or trims a body on its way."""
    await storage.queue.send(body)
    assert await storage.receive() == [body]


async def test_a_message_with_a_delay_is_not_visible_before(storage: Storage) -> None:
    """The delay is in seconds; a message without one is there at once."""
    await storage.queue.send("later", delay_s=2)
    assert await storage.become_visible_in_s() > 1
    assert await storage.receive() == []
    await storage.queue.send("now")
    assert await storage.receive() == ["now"]
    later(storage.clock, seconds=2)
    for _ in range(40):
        if found := await storage.receive():
            break
        await asyncio.sleep(0.1)  # Azurite's own clock has to pass
    assert found == ["later"]


async def test_a_blob_comes_back_byte_for_byte(blobs: BlobStore) -> None:
    """Any bytes, under a name with a folder in it."""
    content = bytes(range(256)) * 10
    await blobs.put("20261123/abc.eml", content)
    assert await blobs.get("20261123/abc.eml", 10_000) == content


async def test_a_blob_is_replaced(blobs: BlobStore) -> None:
    """The second content stands, also where it is shorter."""
    await blobs.put("a", b"the first content")
    await blobs.put("a", b"the second")
    assert await blobs.get("a", 100) == b"the second"


@pytest.mark.parametrize(("limit", "length"), [(0, 1), (9, 10), (10, 10), (11, 10), (100, 10)])
async def test_content_over_the_limit_is_cut_so_that_the_caller_can_tell(
    blobs: BlobStore, limit: int, length: int
) -> None:
    """One byte more than the limit comes back at most."""
    await blobs.put("a", b"0123456789")
    found = await blobs.get("a", limit)
    assert found == b"0123456789"[:length]


async def test_an_empty_blob_is_not_an_absent_one(blobs: BlobStore) -> None:
    """Empty content is b"", no blob is None."""
    await blobs.put("empty", b"")
    assert await blobs.get("empty", 100) == b""
    assert await blobs.get("absent", 100) is None


async def test_a_renewed_blob_is_young_and_unchanged(storage: Storage) -> None:
    """Its age counts from the renewal, which asks for no content; a blob that is gone is not made again."""
    blobs = storage.blobs
    await blobs.put("20261031/a.eml", b"the original")
    before = await storage.written_at("20261031/a.eml")
    later(storage.clock, seconds=2)
    await asyncio.sleep(1.1)  # Azurite's own clock has to pass; it counts in seconds
    await blobs.renew("20261031/a.eml")
    await blobs.renew("20261031/gone.eml")
    assert await storage.written_at("20261031/a.eml") > before
    assert await blobs.get("20261031/gone.eml", 100) is None
    assert await blobs.get("20261031/a.eml", 100) == b"the original"


async def test_a_message_does_not_expire(storage: Storage) -> None:
    """The service's own time to live is a week; a message waits for as long as the app does not take it."""
    await storage.queue.send("patient")
    if storage.client is not None:
        (message,) = await storage.client.peek_messages()
        assert message.expires_on is not None
        assert message.expires_on.year > 9000


async def test_names_come_in_pages_and_a_deleted_blob_is_gone(blobs: BlobStore) -> None:
    """Every name of a prefix comes once, whatever is deleted on the way."""
    wanted = [f"20261123/{number:02d}" for number in range(45)]
    for name in [*wanted, "20261124/00"]:
        await blobs.put(name, b"x")
    found, page = await blobs.names("20261123/", None)
    while page is not None:
        assert await blobs.delete(found[-1])
        assert await blobs.get(found[-1], 1) is None
        assert not await blobs.delete(found[-1])
        more, page = await blobs.names("20261123/", page)
        found += more
    assert found == wanted
    assert await blobs.names("nowhere/", None) == ([], None)
