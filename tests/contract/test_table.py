"""What every `Table` does, in memory and over Azurite alike."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from azure.data.tables.aio import TableClient

from shared.adapters.storage import AzureTable
from shared.domain.errors import AlreadyExists, Changed, Missing, StorageError
from shared.ports import Delete, Entity, Insert, Merge, Replace, Row, Table, Value, Write
from tests.contract.conftest import Storage

HERE = "20261123"


@pytest.fixture
def table(storage: Storage) -> Table:
    """Return an empty table."""
    return storage.table


def entity(row: str, **properties: Value) -> Entity:
    """Return a row of the one partition used here."""
    return {"PartitionKey": HERE, "RowKey": row, **properties}


async def stored(table: Table, row: str) -> Entity | None:
    """Return the row's own properties, or None."""
    found = await table.get(HERE, row)
    if found is None:
        return None
    return {name: value for name, value in found.entity.items() if name not in ("PartitionKey", "RowKey")}


async def rows(table: Table, from_row: str = "", below_row: str = "~", limit: int | None = None) -> list[str]:
    """Return the row keys of a scan, in its order."""
    return [str(row.entity["RowKey"]) async for row in table.scan(HERE, from_row, below_row, limit)]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "plain",
        " blank at both ends ",
        "2026-11-23T12:00:00Z",
        "日本語 \U0001f3a3 e\u0301 \u202e",
        "quotes ' \" and \\ and <&>",
        "x" * 32_000,
        "\U0001f3a3" * 16_000,
        0,
        -1,
        2**31 - 1,
        True,
        False,
        datetime(2026, 11, 23, 12, 0, 0, 123_456, UTC),
        datetime(2026, 11, 23, 12, 0, tzinfo=UTC),
        datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC),
    ],
    ids=lambda value: f"{type(value).__name__}-{str(value)[:12]!a}",
)
async def test_a_value_comes_back_as_it_went_in(table: Table, value: Value) -> None:
    """Every value that the port allows survives the round trip with its type, times as plain aware UTC."""
    await table.write(Insert(entity("a", Value=value)))
    back = await table.get(HERE, "a")
    assert back is not None
    assert back.entity["Value"] == value
    assert type(back.entity["Value"]) is type(value)
    assert not isinstance(value, datetime) or back.entity["Value"].tzinfo is UTC  # type: ignore[union-attr]
    scanned = [row.entity async for row in table.scan(HERE, "a", "b")]
    assert scanned == [back.entity]
    assert set(back.entity) == {"PartitionKey", "RowKey", "Value"}


async def test_a_time_of_another_zone_comes_back_as_the_same_moment(table: Table) -> None:
    """A time keeps its moment, whatever zone it was given in."""
    at = datetime(2026, 11, 23, 13, 30, 0, 1, timezone(timedelta(hours=1)))
    await table.write(Insert(entity("a", At=at)))
    assert await stored(table, "a") == {"At": at}


async def test_an_absent_row_is_none(table: Table) -> None:
    """Asking for a row that is not there is no error."""
    assert await table.get(HERE, "a") is None
    assert await table.get("another", "a") is None


async def test_keys_are_case_sensitive(table: Table) -> None:
    """Two keys that differ in case are two rows."""
    await table.write(Insert(entity("a", Value=1)))
    await table.write(Insert(entity("A", Value=2)))
    assert await stored(table, "a") == {"Value": 1}


async def test_insert_is_refused_where_the_key_is_taken(table: Table) -> None:
    """The first writer wins."""
    await table.write(Insert(entity("a", Value=1)))
    with pytest.raises(AlreadyExists):
        await table.write(Insert(entity("a", Value=2)))
    assert await stored(table, "a") == {"Value": 1}


async def test_replace_without_an_etag_writes_whatever_stands_there(table: Table) -> None:
    """Nothing, or another row: either way the given one stands there afterwards, and nothing else of it."""
    await table.write(Replace(entity("a", Value=1, Old="gone")))
    await table.write(Replace(entity("a", Value=2)))
    assert await stored(table, "a") == {"Value": 2}


async def test_replace_with_the_present_etag_writes(table: Table) -> None:
    """The ETag of a write, of a read and of a scan are the same, and each admits the next write."""
    etag = await table.write(Insert(entity("a", Value=1, Old="gone")))
    found = await table.get(HERE, "a")
    assert found is not None
    assert [found.etag] == [etag] == [row.etag async for row in table.scan(HERE, "a", "b")]
    second = await table.write(Replace(entity("a", Value=2), etag))
    assert second not in ("", etag)
    await table.write(Replace(entity("a", Value=3), second))
    assert await stored(table, "a") == {"Value": 3}


async def test_merge_sets_what_it_names(table: Table) -> None:
    """Properties that are not named stay; the row's ETag is another one."""
    etag = await table.write(Insert(entity("a", One=1, Two=2)))
    merged = await table.write(Merge(entity("a", Two=3, Three=4)))
    assert await stored(table, "a") == {"One": 1, "Two": 3, "Three": 4}
    assert merged not in ("", etag)
    with pytest.raises(Changed):
        await table.write(Replace(entity("a"), etag))


async def test_delete_removes(table: Table) -> None:
    """With the present ETag, or with none; the answer is no ETag."""
    etag = await table.write(Insert(entity("a")))
    assert await table.write(Delete(HERE, "a", etag)) == ""
    await table.write(Insert(entity("b")))
    assert await table.write(Delete(HERE, "b")) == ""
    assert await rows(table) == []


REFUSALS: list[tuple[str, Callable[[str], Write], type[StorageError]]] = [
    ("insert-taken", lambda _: Insert(entity("a", Value=2)), AlreadyExists),
    ("replace-changed", lambda old: Replace(entity("a", Value=2), old), Changed),
    ("delete-changed", lambda old: Delete(HERE, "a", old), Changed),
    ("replace-missing", lambda old: Replace(entity("none", Value=2), old), Missing),
    ("merge-missing", lambda _: Merge(entity("none", Value=2)), Missing),
    ("delete-missing", lambda _: Delete(HERE, "none"), Missing),
    ("delete-missing-etag", lambda old: Delete(HERE, "none", old), Missing),
]


@pytest.mark.parametrize(("write", "error"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS])
@pytest.mark.parametrize("place", [None, 0, 1, 2], ids=["alone", "first", "middle", "last"])
async def test_a_refused_write_raises_its_error_and_writes_nothing(
    table: Table, write: Callable[[str], Write], error: type[StorageError], place: int | None
) -> None:
    """Alone or anywhere in a transaction, a refusal is named the same, and all of the transaction is left out."""
    old = await table.write(Insert(entity("a", Value=0)))
    await table.write(Merge(entity("a", Value=1)))
    others: list[Write] = [Insert(entity("b")), Replace(entity("c"))]
    attempt: Awaitable[object] = (
        table.write(write(old)) if place is None else table.write_all([*others[:place], write(old), *others[place:]])
    )
    with pytest.raises(StorageError) as refusal:
        await attempt
    assert type(refusal.value) is error
    assert await rows(table) == ["a"]
    assert await stored(table, "a") == {"Value": 1}


async def test_a_transaction_does_every_kind_of_write_and_returns_their_etags_in_order(table: Table) -> None:
    """Each ETag belongs to the write at its place; a delete has none."""
    await table.write_all([Insert(entity(row, Value=row)) for row in ("a", "b", "c", "d")])
    first = await table.get(HERE, "a")
    assert first is not None
    etags = await table.write_all(
        [
            Replace(entity("a", Value="replaced"), first.etag),
            Delete(HERE, "b"),
            Merge(entity("c", More=1)),
            Insert(entity("e", Value="new")),
            Replace(entity("d", Value="upserted")),
        ]
    )
    assert etags[1] == ""
    for place, row in [(0, "a"), (2, "c"), (3, "e"), (4, "d")]:
        found = await table.get(HERE, row)
        assert found is not None
        assert found.etag == etags[place]
    assert await rows(table) == ["a", "c", "d", "e"]
    assert await stored(table, "c") == {"Value": "c", "More": 1}


async def test_a_transaction_takes_a_hundred_writes(table: Table) -> None:
    """One hundred is the most that goes together; the answer is one hundred ETags, in the order of the writes."""
    etags = await table.write_all([Insert(entity(f"{number:03}")) for number in range(100)])
    assert [row.etag async for row in table.scan(HERE, "", "~")] == etags
    assert await rows(table) == [f"{number:03}" for number in range(100)]


async def test_a_transaction_of_one_is_the_write_alone(table: Table) -> None:
    """One write gives one ETag, and its refusal is the same error."""
    etags = await table.write_all([Insert(entity("a"))])
    assert len(etags) == 1
    with pytest.raises(AlreadyExists):
        await table.write_all([Insert(entity("a"))])


@pytest.mark.parametrize(
    ("from_row", "below_row", "found"),
    [
        ("", "~", ["0-quota", "1-0-5-a", "1-0-7-a", "1-1-1-a", "2-a"]),
        ("1-0-", "1-0.", ["1-0-5-a", "1-0-7-a"]),
        ("1-0-5-a", "1-0-7-a", ["1-0-5-a"]),
        ("1-0-5-b", "1-1-1-a", ["1-0-7-a"]),
        ("1-0-", "1-0-7", ["1-0-5-a"]),
        ("2", "3", ["2-a"]),
        ("3", "4", []),
        ("2", "1", []),
    ],
)
async def test_a_scan_keeps_to_its_bounds(table: Table, from_row: str, below_row: str, found: list[str]) -> None:
    """The lower bound is in, the upper is out, and the order is that of the characters."""
    for row in ("2-a", "1-0-7-a", "0-quota", "1-1-1-a", "1-0-5-a"):
        await table.write(Insert(entity(row)))
    await table.write(Insert({"PartitionKey": "another", "RowKey": "1-0-6-a"}))
    assert await rows(table, from_row, below_row) == found


@pytest.mark.parametrize(("limit", "found"), [(1, 1), (2, 2), (3, 3), (4, 3), (None, 3), (5000, 3)])
async def test_a_scan_stops_at_its_limit(table: Table, limit: int | None, found: int) -> None:
    """The first rows by key, no more than asked for; a limit may be greater than a page of the service."""
    await table.write_all([Insert(entity(row)) for row in ("c", "a", "b")])
    assert await rows(table, limit=limit) == ["a", "b", "c"][:found]


async def test_a_scan_can_keep_to_rows_that_hold_a_text(table: Table) -> None:
    """Rows that hold another text, or lack the property, are left out, and do not count towards the limit."""
    await table.write_all([Insert(entity("a", Word="x")), Insert(entity("b")), Insert(entity("c", Word="y'x"))])
    await table.write(Insert(entity("d", Word="y'x")))
    found = table.scan(HERE, "", "~", 1, only=("Word", "y'x"))
    assert [row.entity["RowKey"] async for row in found] == ["c"]


async def test_a_scan_can_read_named_properties_alone(table: Table) -> None:
    """Keys and ETag come whatever is named; a property that a row lacks is absent, and others stay unread."""
    at = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    etags = [
        await table.write(Insert(entity("a", Word="x", Number=1, At=at, Flag=False, Long="x" * 10_000))),
        await table.write(Insert(entity("b", Word="x", Long="y"))),
    ]
    found = [row async for row in table.scan(HERE, "", "~", only=("Word", "x"), select=["Number", "At", "Flag"])]
    assert [row.entity for row in found] == [entity("a", Number=1, At=at, Flag=False), entity("b")]
    assert [row.etag for row in found] == etags
    await table.write(Replace(entity("b"), found[1].etag))
    assert [row.entity async for row in table.scan(HERE, "", "~", select=[])] == [entity("a"), entity("b")]


async def test_a_named_property_that_the_cloud_answers_as_null_is_absent() -> None:
    """The cloud's answer to `$select`, which Azurite does not give (Azure/Azurite, issue 2535)."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query["$select"])
        row = {"odata.etag": 'W/"1"', "PartitionKey": HERE, "RowKey": "a", "Number": None, "Word": "x"}
        return web.json_response({"value": [row]})

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    async with TestServer(application) as server:
        account = f"AccountName=a;AccountKey=a2V5;TableEndpoint={server.make_url('/')}"
        async with TableClient.from_connection_string(account, "contract") as client:
            rows = AzureTable(client).scan(HERE, "", "~", select=["Number", "Word"])
            assert [row async for row in rows] == [Row(entity("a", Word="x"), 'W/"1"')]
    assert asked == ["PartitionKey,RowKey,Number,Word"]


async def test_a_scan_goes_on_over_pages(table: Table) -> None:
    """The service answers 1,000 rows at a time; the scan gives all of them, in order, once."""
    names = [f"{number:04}" for number in range(1_050)]
    for start in range(0, len(names), 100):
        await table.write_all([Insert(entity(row)) for row in reversed(names[start : start + 100])])
    assert await rows(table) == names
    assert await rows(table, limit=1_020) == names[:1_020]


async def test_what_is_read_is_a_copy(table: Table) -> None:
    """Changing an entity after it was written or read changes nothing that is stored."""
    mine = entity("a", Value=1)
    await table.write(Insert(mine))
    mine["Value"] = 2
    found = await table.get(HERE, "a")
    assert found is not None
    found.entity["Value"] = 3
    assert await stored(table, "a") == {"Value": 1}


async def test_rows_behind_a_place_come_in_the_order_of_both_keys(table: Table) -> None:
    """A whole table can be gone through in shares, whatever its partitions are."""
    keys = [("20261101", "a"), ("20261101", "b"), ("20261102", "a"), ("20261104", "0")]
    for partition, row in reversed(keys):
        await table.write(Insert({"PartitionKey": partition, "RowKey": row}))

    async def behind(place: tuple[str, str], below: str = "~", limit: int = 9) -> list[tuple[str, str]]:
        found = [row.entity for row in await table.behind(place, below, limit)]
        return [(str(one["PartitionKey"]), str(one["RowKey"])) for one in found]

    assert await behind(("", "")) == keys
    assert await behind(keys[0]) == keys[1:]
    assert await behind(("20261101", "aa"), limit=2) == keys[1:3]
    assert await behind(keys[0], below="20261104") == keys[1:3]
    assert await behind(keys[3]) == []
    assert await behind(("", ""), below="20261101") == []
