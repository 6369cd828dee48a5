"""A lost account: restored from a backup of an hour ago, nothing is submitted twice and nothing is forgotten."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from local.azurite import Azurite
from shared.bootstrap import connect
from shared.cli.backup import restore_backup, write_backup
from shared.cli.errors import CommandError
from shared.domain.lifecycle import is_final
from shared.domain.model import State
from shared.ports import BlobStore, Ports, Table
from shared.settings import Settings
from tests.support.reports import BEN, OPERATOR, ask, original, report, submissions
from tests.support.stage import Stage, settings_for, stage


class Account:
    """An account as the command line has it."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def table(self, name: str) -> Table:
        """A table."""
        return self._ports.tables[name]

    def container(self, name: str) -> BlobStore:
        """A container."""
        return self._ports.containers[name]


async def lose_the_account(on: Stage, connection: str) -> None:
    """Go on with an empty account in place of the one so far; its queues are gone as well."""
    on.settings = Settings.load(settings_for(on.graph.base_url, connection))
    on.connection = connection
    on.ports = replace(await connect(on.settings, on.resources), clock=on.clock)


async def work(on: Stage, minutes: int) -> None:
    """Let the app work for that long."""
    for _ in range(minutes // 5):
        await on.round()
        on.clock.advance(minutes=5)


def a_request(name: str) -> dict[str, object]:
    """An operator's request for a URL."""
    return {
        "schemaVersion": 1,
        "kind": "url",
        "category": "phishing",
        "requestId": name,
        "requestedBy": OPERATOR,
        "url": f"https://{name}.lure.test/",
    }


async def test_an_hour_is_lost_and_nothing_with_it(azurite: Azurite, tmp_path: Path) -> None:
    """Rows that were settled, sent, waiting and unknown at the backup; reports before, in and after the lost hour."""
    async with stage(connection=azurite.new_account()) as on:
        for number in range(3):
            report(on, original(f"settled-{number}"))
        await work(on, 15)
        report(on, original("sent", delay_s=7_000))
        await on.round()
        report(on, original("waiting"))
        report(on, original("waiting"), reporter=BEN)
        await on.app.collect_reports.run()
        counts = await write_backup(Account(on.ports), tmp_path, on.clock.now())
        assert counts["outcomes"] == 6
        await work(on, 20)
        for number in range(4):
            report(on, original(f"lost-{number}", delay_s=(60, 9_000)[number % 2]))
        await ask(on, a_request("lost-request"))
        await work(on, 25)
        report(on, original("never collected"))
        on.clock.advance(minutes=15)
        before = Counter(one.request.item_key for one in submissions(on))
        assert len(before) == 10

        await lose_the_account(on, azurite.new_account())
        await restore_backup(Account(on.ports), tmp_path, on.clock.now())
        on.start_process()
        report(on, original("after"))
        await ask(on, a_request("lost-request"))
        await work(on, 360)

        rows = await on.outcomes()
        assert {one.state for one in rows} == {State.SETTLED}
        assert len(rows) == 6 + 4 + 1 + 1 + 1
        after = Counter(one.request.item_key for one in submissions(on))
        assert set(after.values()) == {1}, "nothing is submitted twice"
        assert len(after) == len(before) + 2
        adopted = {one.graph_submission_id for one in rows if one.graph_submission_id}
        assert adopted == {one.id for one in submissions(on)}


async def test_nothing_is_sent_before_all_is_back(azurite: Azurite, tmp_path: Path) -> None:
    """An interrupted restore: the app waits, and the same command goes on; a full account is left alone."""
    async with stage(connection=azurite.new_account()) as on:
        report(on, original("mail"))
        await on.app.collect_reports.run()
        await write_backup(Account(on.ports), tmp_path, on.clock.now())
        with pytest.raises(CommandError, match="not empty"):
            await write_backup(Account(on.ports), tmp_path, on.clock.now())
        with pytest.raises(CommandError, match="not empty"):
            await restore_backup(Account(on.ports), tmp_path, on.clock.now())
        await lose_the_account(on, azurite.new_account())
        outcomelog = (tmp_path / "tables" / "outcomelog.jsonl.gz").read_bytes()
        (tmp_path / "tables" / "outcomelog.jsonl.gz").unlink()
        with pytest.raises(FileNotFoundError):
            await restore_backup(Account(on.ports), tmp_path, on.clock.now())
        on.start_process()
        await work(on, 30)
        assert submissions(on) == []
        (tmp_path / "tables" / "outcomelog.jsonl.gz").write_bytes(outcomelog)
        await restore_backup(Account(on.ports), tmp_path, on.clock.now())
        await work(on, 60)
        assert len(submissions(on)) == 1
        assert all(is_final(one.state) for one in await on.outcomes())


async def test_a_folder_that_is_no_whole_backup_is_refused(tmp_path: Path) -> None:
    """One that was not written to its end lacks its last file."""
    async with stage() as on:
        await write_backup(Account(on.ports), tmp_path, on.clock.now())
        (tmp_path / "backup.json").unlink()
        with pytest.raises(CommandError, match="no whole backup"):
            await restore_backup(Account(on.ports), tmp_path, on.clock.now())
