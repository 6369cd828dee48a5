"""`submissions status` as a process, against tables that the app's own stores wrote."""

import asyncio
import json
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.azurite import Azurite
from local.memory_storage import MemoryTable
from shared.adapters.storage import AzureTable
from shared.adapters.system_clock import SystemClock
from shared.bootstrap import TABLES, open_storage
from shared.cli.condition import DAY_PERCENT, OLDEST_S, SILENT_AFTER, Condition, age, read_condition
from shared.cli.replay_choice import REPLAYABLE
from shared.domain import keys
from shared.domain.model import OutcomeKey, Priority, State
from shared.domain.planner import Limits, Slot
from shared.ports import Entity, Merge, Replace
from shared.settings import StorageAccess
from shared.stores.heartbeats import PARTITION, TIMERS, Heartbeats
from shared.stores.outcomes import OutcomeStore
from shared.stores.quota import QuotaStore, slot_name
from shared.stores.worklist import WorkItem, Worklist
from tests.cli.tenant_rows import HOSTILE, open_rows, row
from tests.doctor.refusing_proxy import Refusal, refusing_proxy
from tests.support.command_line import ROOT, Done, run, screen, without_colour
from tests.support.outcomes import NOW, make_outcome
from tests.support.stage import StageClock

LIMITS = Limits(per_window=150, per_day=10_000, reserved_for_people=10, reserved_for_urgent=20)


def entry(number: int, state: State, received_at: datetime, priority: Priority = Priority.NORMAL) -> WorkItem:
    """Return a row's entry in the worklist, due since it came in."""
    outcome = make_outcome(number, state=state, received_at=received_at, priority=priority)
    outcome = replace(outcome, key=replace(outcome.key, partition=keys.day(received_at)))
    if state in REPLAYABLE:
        outcome = replace(outcome, state_reason="not_sent")
    slot = slot_name(Slot(received_at, urgent=False), outcome.key.submission_id) if state is State.DISPATCHED else None
    holder = OutcomeKey("20261120", "0" * 32) if state is State.COVERED else None
    return WorkItem(outcome=outcome, etag="e", due_at=received_at, slot=slot, holder=holder)


def busy(now: datetime) -> list[WorkItem]:
    """Return the entries of a busy app: each lane has its own count and age."""
    ages = {
        (State.PENDING, Priority.URGENT): [2],
        (State.PENDING, Priority.NORMAL): [3, 90],
        (State.PENDING, Priority.LOW): [26 * 60],
        (State.SUBMITTED, Priority.NORMAL): [10, 20, 200],
        (State.FAILED, Priority.NORMAL): [4000],
        (State.REJECTED, Priority.NORMAL): [5000],
    }
    every = [(state, lane, minutes) for (state, lane), found in ages.items() for minutes in found]
    return [
        entry(number, state, now - timedelta(minutes=minutes, seconds=30), lane)
        for number, (state, lane, minutes) in enumerate(every)
    ]


async def fill(connection: str, now: datetime, entries: Sequence[WorkItem], *, runs: bool = True) -> None:
    """Make the tables, with these entries and, if wanted, timers that ran a minute ago; one of them failed before."""
    async with AsyncExitStack() as resources:
        clients = await open_storage(StorageAccess(connection_string=connection), None, resources)
        for name in TABLES:
            await clients.tables.create_table_if_not_exists(name)
        clock = StageClock(now - timedelta(minutes=1))
        await Worklist(AzureTable(clients.tables.get_table_client("worklist"))).add(entries)
        rows = AzureTable(clients.tables.get_table_client("outcomes"))
        log = AzureTable(clients.tables.get_table_client("outcomelog"))
        ended = [one.outcome for one in entries if one.outcome.state in REPLAYABLE]
        for one in ended:
            assert await OutcomeStore(rows, log, StageClock(one.received_at)).create([one]) != [None]
        heartbeats = Heartbeats(AzureTable(clients.tables.get_table_client("runstate")), clock, LIMITS)
        if runs:
            await heartbeats.failed("settle_outcomes", TimeoutError())
            for timer in TIMERS:
                await heartbeats.ended(timer, 12, 3.25)


@pytest.fixture(scope="module")
def account(azurite: Azurite) -> str:
    """Return the account of a busy app, which no test of this module changes."""
    connection = azurite.new_account()
    now = datetime.now(UTC)
    asyncio.run(fill(connection, now, busy(now)))
    return connection


def status(connection: str, *arguments: str) -> Done:
    """Run the command to its end."""
    return run(connection, "--local", "status", *arguments)


@pytest.mark.parametrize("columns", [80, 140])
def test_the_screen_fits_and_tells_all(account: str, columns: int) -> None:
    """Each lane with count and age, the quota, the timers, and what is wrong by its alert's name."""
    shown = without_colour(screen(account, "--local", "status", columns=columns))
    lines = [line.rstrip() for line in shown.splitlines()]
    assert max(map(len, lines)) <= columns
    text = re.sub(" +", " ", "\n".join(lines))
    for part in (
        "wait, urgent 1 2m 3",
        "wait, normal 2 1h 30m",
        "wait, low 1 1d 2h",
        "being submitted 0 -",
        "at Microsoft, verdict to come 3 3h 20m",
        "failed or rejected, can be replayed 2 3d 11h",
        "15 minutes 0 140\n24 hours 0 10,000\nNext slot: now.\n",
        "\n late-others: a row of lane `low` has waited for 1d 2h",
    ):
        assert part in text, text
    assert re.search(r"collect_reports 1m \d+s ago 3\.2s 12 -", text), text
    assert re.search(r"settle_outcomes 1m \d+s ago 3\.2s 12 1m \d+s ago, TimeoutError", text), text


def test_what_can_be_replayed_is_what_replay_lists(azurite: Azurite) -> None:
    """Rows count by the rule of `replay`, whether or not the app keeps an entry; one without a way back does not."""
    connection, now = azurite.new_account(), datetime.now(UTC)
    asyncio.run(fill(connection, now, []))
    asyncio.run(_write(connection, now, "poison_message", "invalid_field"))
    told = json.loads(status(connection, "--output", "json").out)["Backlog"]["kept"]
    listed = json.loads(run(connection, "--local", "replay", "--all", "--dry-run", "--output", "json").out)
    assert told["Count"] == 1 == sum(bool(one["Way"]) for one in listed)
    assert told["OldestSeconds"] >= 3600


async def _write(connection: str, now: datetime, *reasons: str) -> None:
    """Write a rejected row for each reason, which no entry of the worklist stands for."""
    async with open_rows(connection) as tenant:
        for number, reason in enumerate(reasons):
            at = now - timedelta(hours=1)
            await tenant.write(row(number, at, state=State.REJECTED, state_reason=reason))


def test_json_has_every_figure(account: str) -> None:
    """Counts and seconds for programs, under stable names."""
    done = status(account, "--output", "json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert list(told) == ["At", "Backlog", "Quota", "Pause", "Regular", "Timers", "Troubles"]
    assert {name: lane["Count"] for name, lane in told["Backlog"].items()} == {
        "urgent": 1,
        "normal": 2,
        "low": 1,
        "in_flight": 0,
        "at_microsoft": 3,
        "uncertain": 0,
        "covered": 0,
        "kept": 2,
    }
    assert 5430 <= told["Backlog"]["normal"]["OldestSeconds"] < 5500
    assert (told["Quota"]["WindowLimit"], told["Quota"]["WindowLimitNotUrgent"], told["Quota"]["DayUsed"]) == (
        *(140, 120, 0),
    )
    assert told["Pause"] is None
    assert list(told["Timers"]) == list(TIMERS)
    assert told["Timers"]["dispatch"]["TookMilliseconds"] == 3250
    assert [trouble["Alert"] for trouble in told["Troubles"]] == ["late-others"]


def test_tsv_is_a_line_for_each_figure(account: str) -> None:
    """Its section comes first, so that a script can pick; in a pipe it is what comes without asking."""
    lines = [line.split("\t") for line in status(account).lines]
    assert [line[:3] for line in lines if line[0] == "backlog"][:2] == [
        ["backlog", "urgent", "1"],
        ["backlog", "normal", "2"],
    ]
    assert [line[:4] for line in lines if line[0] == "quota"] == [
        ["quota", "window", "0", "140"],
        ["quota", "day", "0", "10000"],
    ]
    assert [line[1] for line in lines if line[0] == "timer"] == list(TIMERS)
    assert lines[-1][:2] == ["trouble", "late-others"]


def test_a_check_ends_with_1_and_names_what_is_wrong(account: str) -> None:
    """For a probe: the exit code says it, a line on standard error what it is."""
    done = status(account, "--check")
    assert done.code == 1
    assert re.fullmatch(r"late-others: a row of lane `low` has waited for 1d 2h\n", done.err)
    assert done.lines[0].startswith("backlog\turgent")


def test_an_app_that_never_ran_is_told(storage_connection: str) -> None:
    """Empty tables: nothing waits, no limit is known, and every timer is silent."""
    asyncio.run(fill(storage_connection, datetime.now(UTC), [], runs=False))
    done = run(storage_connection, "--local", "status", "--check", "--output", "table", COLUMNS="80")
    assert done.code == 1
    assert done.err == "".join(f"silent: {timer} never ended a run\n" for timer in TIMERS)
    assert "The limits are not known: no timer of the app has run yet." in done.out
    assert max(map(len, done.lines)) <= 80


def test_an_app_in_order_passes_the_check(storage_connection: str) -> None:
    """Nothing is wrong: exit code 0, and the screen says so."""
    now = datetime.now(UTC)
    asyncio.run(fill(storage_connection, now, [entry(1, State.PENDING, now - timedelta(minutes=3))]))
    done = status(storage_connection, "--check", "--output", "table")
    assert (done.code, done.err, done.lines[-1]) == (0, "", "Nothing is wrong.")


@pytest.mark.parametrize(("table", "role"), [("worklist", "Reader"), ("runstate", "Contributor")])
def test_a_missing_right_is_named(account: str, table: str, role: str) -> None:
    """Who may not read a table is told which role is missing, with exit code 3."""

    async def refused() -> Done:
        async with refusing_proxy(account, Refusal("GET", f"/{table}")) as proxy:
            return await asyncio.to_thread(status, proxy.connection)

    done = asyncio.run(refused())
    assert done.code == 3
    assert f"Storage Table Data {role}" in done.err
    assert len(done.err.splitlines()) == 1


def test_an_account_without_the_tables_says_so(azurite: Azurite) -> None:
    """Another account than the app's: exit code 4, and no trace."""
    done = status(azurite.new_account())
    assert (done.code, len(done.err.splitlines())) == (4, 1)


# --- what counts as trouble ---------------------------------------------------------------------------------------


async def condition(
    entries: Sequence[WorkItem] = (), *, clock: StageClock, table: MemoryTable | None = None
) -> Condition:
    """How an app does whose timers ran just now."""
    worklist, runstate = table or MemoryTable(), MemoryTable()
    await Worklist(worklist).add(entries)
    for timer in TIMERS:
        await Heartbeats(runstate, clock, LIMITS).ended(timer, 0, 0.1)
    return await read_condition(worklist, runstate, clock)


async def test_a_pause_is_told_with_its_end_and_reason() -> None:
    """Not allowed is trouble; a throttled window is a pause like any other, and reopens by itself."""
    for reason, troubles in (("not_allowed", ["not-allowed"]), ("throttled", [])):
        clock, table = StageClock(NOW), MemoryTable()
        until = NOW + timedelta(minutes=5)
        await QuotaStore(table, clock).close(until, reason)
        found = await condition(clock=clock, table=table)
        assert found.pause is not None
        assert (found.pause.until, found.pause.reason) == (until, reason)
        assert found.quota.next_at == until
        assert [trouble.alert for trouble in found.troubles()] == troubles


async def test_probing_goes_on_after_the_pause() -> None:
    """One row at a time goes until one succeeds; a throttled window is simply open again."""
    for reason, is_pause in (("not_allowed", True), ("throttled", False)):
        clock, table = StageClock(NOW), MemoryTable()
        await QuotaStore(table, clock).close(NOW + timedelta(minutes=5), reason)
        clock.advance(minutes=6)
        assert ((await condition(clock=clock, table=table)).pause is not None) is is_pause


async def test_a_used_up_window_frees_when_its_slots_leave_it() -> None:
    """The next slot is 15 minutes and the margin after the POST that leaves first; urgent rows have their reserve."""
    clock, table = StageClock(NOW), MemoryTable()
    for number in range(LIMITS.for_others):
        slot = Slot(NOW - timedelta(minutes=10), urgent=False)
        name = slot_name(slot, f"{number:032x}")
        await table.write(Replace({"PartitionKey": "live", "RowKey": name, "At": slot.at, "Urgent": False}))
        await table.write(Merge({"PartitionKey": "live", "RowKey": name, "SentAt": slot.at}))
    found = await condition(clock=clock, table=table)
    assert found.quota.used.window == LIMITS.for_others
    assert found.quota.next_at is not None
    assert timedelta(minutes=5) <= found.quota.next_at - found.at <= timedelta(minutes=5, seconds=3)
    assert found.quota.next_urgent_at == found.at


async def test_a_failure_after_the_last_good_run_is_trouble() -> None:
    """One that a good run followed is shown, and is none."""
    clock, runstate = StageClock(NOW), MemoryTable()
    heartbeats = Heartbeats(runstate, clock, LIMITS)
    for timer in TIMERS:
        await heartbeats.ended(timer, 0, 0.1)
    clock.advance(minutes=1)
    await heartbeats.failed("dispatch", ValueError())
    told = (await read_condition(MemoryTable(), runstate, clock)).troubles()
    assert [trouble.alert for trouble in told] == ["failures"]
    await heartbeats.ended("dispatch", 0, 0.1)
    assert (await read_condition(MemoryTable(), runstate, clock)).troubles() == []


async def test_a_timer_that_stopped_is_silent() -> None:
    """After half an hour, by which the host has missed fifteen runs of the quickest and six of the slowest."""
    clock, runstate = StageClock(NOW), MemoryTable()
    for timer in TIMERS:
        await Heartbeats(runstate, clock, LIMITS).ended(timer, 0, 0.1)
    clock.advance(minutes=31)
    told = (await read_condition(MemoryTable(), runstate, clock)).troubles()
    assert [trouble.alert for trouble in told] == ["silent"] * 3


async def troubled(connection: str, now: datetime) -> None:
    """Spoil an account: submissions pause, one timer is silent, and another failed with a hostile error."""
    async with AsyncExitStack() as resources:
        clients = await open_storage(StorageAccess(connection_string=connection), None, resources)
        worklist = AzureTable(clients.tables.get_table_client("worklist"))
        await QuotaStore(worklist, SystemClock()).close(now + timedelta(minutes=12), "not_allowed")
        runstate = AzureTable(clients.tables.get_table_client("runstate"))
        silent: Entity = {"RowKey": "dispatch", "EndedAt": now - timedelta(minutes=50)}
        failed: Entity = {"RowKey": "collect_reports", "FailedAt": now, "Error": f"{HOSTILE} {'long ' * 30}"}
        for facts in (silent, failed):
            await runstate.write(Merge({"PartitionKey": PARTITION, **facts}))


@pytest.mark.parametrize("columns", [80, 140])
def test_a_screen_full_of_trouble_is_safe_and_fits(storage_connection: str, columns: int) -> None:
    """Lines are broken between words, colour tells the timers apart, and a row's text sends nothing to the terminal."""
    now = datetime.now(UTC)
    asyncio.run(fill(storage_connection, now, []))
    asyncio.run(troubled(storage_connection, now))
    seen = screen(storage_connection, "--local", "status", columns=columns)
    text = without_colour(seen)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text), repr(text)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= columns
    assert re.search(r"Submissions pause until .*: Microsoft refused with 401, 402 or 403", " ".join(text.split()))
    coloured = dict(re.findall(r"\x1b\[(3[13])m(collect_reports|dispatch|settle_outcomes)\b", seen))
    assert coloured == {"33": "collect_reports", "31": "dispatch"}
    assert "\x1b[3" not in screen(storage_connection, "--local", "--no-color", "status", columns=columns)


@pytest.mark.parametrize(
    ("state", "priority", "limit"),
    [
        (State.PENDING, Priority.URGENT, "late-urgent"),
        (State.PENDING, Priority.NORMAL, "late-others"),
        (State.PENDING, Priority.LOW, "late-others"),
        (State.UNCERTAIN, Priority.NORMAL, "stuck-uncertain"),
    ],
)
async def test_a_row_that_waits_too_long_is_trouble(state: State, priority: Priority, limit: str) -> None:
    """Past its lane's limit, and not a minute before."""
    for minutes, expected in ((-1, []), (1, [limit])):
        clock = StageClock(NOW)
        since = NOW - timedelta(seconds=OLDEST_S[limit], minutes=minutes)
        found = await condition([entry(1, state, since, priority)], clock=clock)
        assert [trouble.alert for trouble in found.troubles()] == expected


def test_the_limits_are_those_of_the_alerts() -> None:
    """A command that is content while an alert rings would help nobody."""
    text = Path(ROOT, "infra", "modules", "alerts.bicep").read_text(encoding="utf-8")
    above = dict(re.findall(r"name: '([a-z-]+)'.*?above: ([^\n]+)", text, re.DOTALL))
    assert f"param silentMinutes int = {SILENT_AFTER // timedelta(minutes=1)}\n" in text
    assert int(above["quota"]) == DAY_PERCENT
    minutes = {name: eval(above[name], {}) for name in OLDEST_S}  # noqa: S307 - our own template's arithmetic
    assert {name: 60 * number for name, number in minutes.items()} == OLDEST_S


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (timedelta(), "0s"),
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=59), "59s"),
        (timedelta(minutes=2), "2m 0s"),
        (timedelta(hours=2, minutes=14, seconds=9), "2h 14m"),
        (timedelta(days=3, hours=0, minutes=9), "3d 0h"),
    ],
)
def test_ages_are_told_in_two_units(span: timedelta, told: str) -> None:
    """As `kubectl` does: enough to judge by, and short."""
    assert age(span) == told


def test_heartbeats_of_another_make_are_no_harm(storage_connection: str) -> None:
    """A row that somebody spoiled counts as a timer of which nothing is known."""

    async def spoil() -> None:
        async with AsyncExitStack() as resources:
            clients = await open_storage(StorageAccess(connection_string=storage_connection), None, resources)
            table = AzureTable(clients.tables.get_table_client("runstate"))
            await table.write(Replace({"PartitionKey": PARTITION, "RowKey": "dispatch", "EndedAt": "soon"}))

    asyncio.run(fill(storage_connection, SystemClock().now(), []))
    asyncio.run(spoil())
    done = status(storage_connection, "--check")
    assert (done.code, done.err) == (1, "silent: dispatch never ended a run\n")
