"""`submissions backup` and `submissions restore`: the tables and containers as files, and back into an empty account.

The tables are read in an order in which nothing is missed while the app goes on: how far mailboxes were read before the
rows that came of it, rows before their entries and items. So whatever the backup has half is made good as after any
stop. The restored account tells the app when the backup began: what may have been sent since is looked up at Microsoft
before anything is sent (`domain.restoration`).

    DIR/backup.json                  when it began, how many rows and blobs; written last, so it says that all is there
    DIR/tables/<name>.jsonl.gz       a row a line; times are {"time": "..."}
    DIR/blobs/<container>/<name>
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from ..domain.restoration import Restored
from ..ports import BlobStore, Entity, Replace, Table, Value
from ..stores.batches import TRANSACTION_ROWS
from ..stores.quota import QuotaStore
from .errors import CommandError, ExitCode
from .output import Column, tell

if TYPE_CHECKING:
    from .__main__ import Session

TABLES: Final = ("runstate", "outcomes", "worklist", "items", "outcomelog", "statistics")
"""In the order in which they are read."""
CONTAINERS: Final = ("submission-content", "evidence", "rejected-messages")
_ALL = "~"
_ROWS_AT_ONCE = 1_000
_TRANSACTION_BYTES = 2_000_000
"""Half of what Table Storage takes in one transaction: rows are larger on the wire."""
_MAX_BLOB_BYTES = 64_000_000
_VERSION = 1
_COLUMNS: Final = (Column(field="Place", heading="PLACE", share=1), Column(field="Count", heading="COUNT"))


class Place(Protocol):
    """A data account: tables and containers by their names."""

    def table(self, name: str) -> Table:
        """A table."""

    def container(self, name: str) -> BlobStore:
        """A container."""


@click.command("backup")
@click.option("--to", "folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="A new folder.")
@click.pass_obj
def backup(session: Session, /, folder: Path) -> None:
    """Write all tables and containers to a folder, while the app goes on.

    The folder then holds reported mail and addresses: keep it as you keep those. You need Storage Table Data Reader and
    Storage Blob Data Reader on the account.

    \b
    Example:
      submissions backup --to /backups/2026-11-24T08
    """  # noqa: D301 - \b keeps click from joining the lines
    asyncio.run(_backup(session, folder))


@click.command("restore")
@click.option(
    "--from", "folder", required=True, type=click.Path(file_okay=False, exists=True, path_type=Path), help="A backup."
)
@click.pass_obj
def restore(session: Session, /, folder: Path) -> None:
    """Write a backup into an empty account, while the app is stopped.

    The app then looks up at Microsoft whatever may have been sent since the backup, before it sends anything of it. A
    restore that was interrupted is begun again by the same command. You need Storage Table Data Contributor and Storage
    Blob Data Contributor on the account.

    \b
    Example:
      submissions restore --from /backups/2026-11-24T08 --account stdefsubnew
    """  # noqa: D301 - as above
    asyncio.run(_restore(session, folder))


async def _backup(session: Session, folder: Path) -> None:
    async with session.connect() as connection:
        counts = await write_backup(connection, folder, datetime.now(UTC))
    session.output.show_records(_COLUMNS, [{"Place": name, "Count": count} for name, count in counts.items()])


async def _restore(session: Session, folder: Path) -> None:
    async with session.connect() as connection:
        counts = await restore_backup(connection, folder, datetime.now(UTC))
    session.output.show_records(_COLUMNS, [{"Place": name, "Count": count} for name, count in counts.items()])
    tell("Start the app on this account. What may have been sent since the backup is looked up at Microsoft first.")


async def write_backup(place: Place, folder: Path, now: datetime) -> dict[str, int]:
    """Write everything to a new folder; returns how many rows and blobs, by table and container.

    Raises `CommandError` where the folder holds anything.
    """
    _begin_folder(folder)
    counts: dict[str, int] = {}
    for name in TABLES:
        counts[name] = await _write_table(place.table(name), folder / "tables" / f"{name}.jsonl.gz")
    for name in CONTAINERS:
        counts[name] = await _write_container(place.container(name), folder / "blobs" / name)
    told = {"version": _VERSION, "beganAt": now.isoformat(), "counts": counts}
    (folder / "backup.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
    return counts


async def restore_backup(place: Place, folder: Path, now: datetime) -> dict[str, int]:
    """Write a backup into an account that holds nothing; returns how many rows and blobs, by table and container.

    Raises `CommandError` where the folder is no whole backup, or the account holds rows that are not of this restore.
    """
    began_at = _began_at(folder)
    quota = QuotaStore(place.table("worklist"), _NoClock())
    standing = await quota.restored()
    is_own = standing is not None and not standing.is_whole and standing.backed_up_at == began_at
    if not is_own and await place.table("outcomes").behind(("", ""), _ALL, 1):
        raise CommandError("the account is not empty: nothing was restored", ExitCode.WRONG_USE)
    await quota.put_restored(Restored(began_at, now, is_whole=False))
    counts: dict[str, int] = {}
    for name in CONTAINERS:
        counts[name] = await _read_container(place.container(name), folder / "blobs" / name)
    for name in TABLES:
        counts[name] = await _read_table(place.table(name), folder / "tables" / f"{name}.jsonl.gz", began_at, now)
    await quota.put_restored(Restored(began_at, now))
    return counts


def _begin_folder(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise CommandError(f"{folder} is not empty: name a new folder", ExitCode.WRONG_USE)
    (folder / "tables").mkdir(parents=True, exist_ok=True)


class _NoClock:
    """The mark tells its own times."""

    def now(self) -> datetime:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError(seconds)


def _began_at(folder: Path) -> datetime:
    try:
        told = json.loads((folder / "backup.json").read_text(encoding="utf-8"))
        if told["version"] == _VERSION:
            return datetime.fromisoformat(told["beganAt"])
    except (OSError, ValueError, LookupError, TypeError):
        pass
    raise CommandError(f"{folder} is no whole backup", ExitCode.WRONG_USE)


async def _write_table(table: Table, file: Path) -> int:
    count, place = 0, ("", "")
    with gzip.open(file, "wt", encoding="utf-8") as lines:
        while rows := await table.behind(place, _ALL, _ROWS_AT_ONCE):
            for row in rows:
                lines.write(json.dumps(row.entity, default=_told, ensure_ascii=False) + "\n")
            count += len(rows)
            place = str(rows[-1].entity["PartitionKey"]), str(rows[-1].entity["RowKey"])
    return count


async def _write_container(store: BlobStore, folder: Path) -> int:
    count, page = 0, None
    while True:
        names, page = await store.names("", page)
        for name in names:
            content = await store.get(name, _MAX_BLOB_BYTES)
            if content is not None:
                file = _inside(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
                count += 1
        if page is None:
            return count


def _inside(folder: Path, name: str) -> Path:
    """The file of a blob. Operators name uploads: a name that leads out of the folder is refused."""
    file = folder / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise CommandError(f"{name} cannot be a file: delete or rename that blob")
    return file


async def _read_table(table: Table, file: Path, began_at: datetime, now: datetime) -> int:
    count = 0
    for entities in _transactions(file):
        await table.write_all([Replace(entity) for entity in entities])
        count += len(entities)
        if any(entity["RowKey"] == "0-restored" for entity in entities):
            await QuotaStore(table, _NoClock()).put_restored(Restored(began_at, now, is_whole=False))
    return count


def _transactions(file: Path) -> Iterator[list[Entity]]:
    """The rows of a table, those of one partition together, as many as fit."""
    together: list[Entity] = []
    size = 0
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            entity: Entity = json.loads(line, object_hook=_read)
            is_other = bool(together) and together[0]["PartitionKey"] != entity["PartitionKey"]
            if is_other or len(together) == TRANSACTION_ROWS or (together and size + len(line) > _TRANSACTION_BYTES):
                yield together
                together, size = [], 0
            together.append(entity)
            size += len(line)
    if together:
        yield together


async def _read_container(store: BlobStore, folder: Path) -> int:
    files = _files_in(folder)
    for file in files:
        await store.put(file.relative_to(folder).as_posix(), file.read_bytes())
    return len(files)


def _files_in(folder: Path) -> list[Path]:
    return sorted(one for one in folder.rglob("*") if one.is_file())


def _told(value: Value) -> dict[str, str]:
    if not isinstance(value, datetime):
        raise TypeError(type(value).__name__)
    return {"time": value.isoformat()}


def _read(told: dict[str, Any]) -> Any:
    return datetime.fromisoformat(told["time"]) if told.keys() == {"time"} else told
