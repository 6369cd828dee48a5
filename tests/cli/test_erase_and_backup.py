"""`submissions erase`, `backup` and `restore`, as processes against Azurite."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

from local.azurite import Azurite
from shared.stores.erasures import Erasure, Erasures
from tests.support.command_line import run
from tests.support.reports import ANNA, BEN, original, pass_time, report
from tests.support.stage import Stage, stage


async def settled(on: Stage) -> None:
    """Have one report of each settled."""
    report(on, original("hers"))
    report(on, original("his", recipient=BEN), reporter=BEN)
    await pass_time(on, timedelta(minutes=10), step=timedelta(minutes=5))


async def requests(on: Stage) -> list[Erasure]:
    """What the app is asked for."""
    return await Erasures(on.ports.tables["runstate"]).all_standing()


async def test_erase_shows_first_and_then_asks(storage_connection: str) -> None:
    """A dry run asks for nothing, nor does a script that did not agree; who agrees leaves one request."""
    async with stage(connection=storage_connection) as on:
        await settled(on)

        async def erase(*arguments: str) -> tuple[int, str, str]:
            done = await asyncio.to_thread(run, storage_connection, "erase", *arguments)
            return done.code, done.out, done.err

        code, out, _ = await erase("--reporter", ANNA.upper(), "--dry-run", "--output", "json")
        shown = {row["Rows"]: row["Count"] for row in json.loads(out)}
        assert (code, shown["about the person"], shown["about others, naming the person"]) == (0, 1, 0)
        assert await requests(on) == []
        code, _, err = await erase("--reporter", ANNA)
        assert (code, "--yes" in err) == (2, True)
        for _ in range(2):
            code, _, err = await erase("--reporter", ANNA, "--yes")
            assert (code, "asked" in err) == (0, True)
        (one,) = await requests(on)
        assert one.address == ANNA
        code, _, err = await erase("--reporter", ANNA, "--yes", "--wait=0")
        assert (code, "not done" in err) == (5, True)
        assert (await erase("--reporter", "anna"))[0] == 2
        assert (await erase())[0] == 2


async def test_a_backup_comes_back_as_it_was(azurite: Azurite, tmp_path: Path) -> None:
    """Every row and blob, of every kind of value, into an empty account and into no other."""
    first, second = azurite.new_account(), azurite.new_account()
    async with stage(connection=first) as on, stage(connection=second) as other:
        await settled(on)
        folder = str(tmp_path / "backup")
        done = await asyncio.to_thread(run, first, "backup", "--to", folder, "--output", "json")
        assert done.code == 0, done.err
        counts = {row["Place"]: row["Count"] for row in json.loads(done.out)}
        assert (counts["outcomes"], counts["evidence"]) == (2, 2)
        assert (await asyncio.to_thread(run, first, "backup", "--to", folder)).code == 2
        assert (await asyncio.to_thread(run, first, "restore", "--from", folder)).code == 2
        done = await asyncio.to_thread(run, second, "restore", "--from", folder)
        assert done.code == 0, done.err
        for table in ("outcomes", "outcomelog", "items", "runstate", "worklist"):
            was = [row for row in await on.rows(table) if row["RowKey"] != "0-restored"]
            now = [row for row in await other.rows(table) if row["RowKey"] != "0-restored"]
            assert was
            assert now == was
        for name in (await on.ports.containers["evidence"].names("", None))[0]:
            kept = await on.ports.containers["evidence"].get(name, 10_000)
            assert await other.ports.containers["evidence"].get(name, 10_000) == kept
