"""`submissions list`, `show` and `watch` as processes, against rows in Azurite that the app's own store wrote."""

import asyncio
import json
import re
import signal
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len

from local.azurite import Azurite
from shared.domain.model import Outcome, State, Verdict
from tests.cli.tenant_rows import HOSTILE, REQUEST_ID, open_rows, row, rows, settled
from tests.support.command_line import COMMAND, environment, run, screen, without_colour
from tests.support.counting_proxy import CountingProxy, counting_proxy

STATES = ("dispatched", "submitting", "submitted", "settled")
NEVER_SHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Tenant:
    """An account with five rows; the first is settled."""

    connection: str
    rows: list[Outcome]

    @property
    def ids(self) -> list[str]:
        """The submission ids."""
        return [outcome.key.submission_id for outcome in self.rows]


async def _fill(connection: str, now: datetime) -> list[Outcome]:
    found = rows(now)
    async with open_rows(connection) as tenant:
        await tenant.write(*found)
        first = found[0]
        on_its_way = [replace(first, state=State(name)) for name in STATES[:-1]]
        verdict = settled(first, Verdict.MALICIOUS, now)
        await tenant.advance(first, *on_its_way, verdict, at=now - timedelta(minutes=5))
    return found


@pytest.fixture(scope="module")
def tenant(azurite: Azurite) -> Tenant:
    """Return an account that no test of this module changes."""
    connection = azurite.new_account()
    return Tenant(connection, asyncio.run(_fill(connection, datetime.now(UTC))))


def listed(tenant: Tenant, *arguments: str) -> list[int]:
    """Return which of the five rows `list` gives, by number, in its order."""
    done = run(tenant.connection, "--local", "list", *arguments)
    assert done.code == 0, done.err
    return [tenant.ids.index(line.split("\t")[1]) + 1 for line in done.lines]


# --- list -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], [1, 2, 3, 4]),
        (["--since", "40d"], [1, 2, 3, 4, 5]),
        (["--since", "15m"], [1]),
        (["--since", "3d", "--until", "12h"], [3, 4]),
        (["--since", "40d", "--limit", "2"], [1, 2]),
        (["--state", "pending", "--limit", "1"], [2]),
        (["--state", "settled"], [1]),
        (["--state", "settled", "--state", "pending", "--kind", "url", "--kind", "file"], [3, 4]),
        (["--verdict", "malicious"], [1]),
        (["--verdict", "clean"], []),
        (["--since", "40d", "--reporter", "anna@CONTOSO.example"], [1, 5]),
        (["--reporter", "soc@contoso.example"], [3, 4]),
        (["--reporter", "SOC@Contoso.example"], [3, 4]),
        (["--sender", "MALLORY@evil.example"], [1, 2]),
        (["--sender", "mallory@evil.example"], [1, 2]),
        (["--campaign", "c-1"], [2]),
        (["--sender", "o'brien@evil.example"], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value and isinstance(value[0], str) else "",
)
def test_list_gives_what_is_asked_for_newest_first(tenant: Tenant, arguments: list[str], expected: list[int]) -> None:
    """Each filter, alone and together, and ranges within days and across them."""
    assert listed(tenant, *arguments) == expected


def test_addresses_fit_in_any_case_where_few_columns_are_read(tenant: Tenant) -> None:
    """A list for programs reads the columns that matter, and those by which it chooses."""
    done = run(tenant.connection, "list", "--local", "--output", "tsv", "--reporter", "SOC@Contoso.example")
    assert (done.code, len(done.lines)) == (0, 2)


def test_list_as_json_has_every_column(tenant: Tenant) -> None:
    """One array of whole rows under the contract's names; times are UTC."""
    done = run(tenant.connection, "list", "--local", "--output", "json")
    found = json.loads(done.out)
    assert [one["RowKey"] for one in found] == tenant.ids[:4]
    assert found[0]["GraphSubmissionId"]
    assert found[2]["Url"] == tenant.rows[2].url
    assert datetime.fromisoformat(found[0]["ReceivedAt"]) == tenant.rows[0].received_at
    assert json.loads(run(tenant.connection, "list", "--local", "--output", "json", "--since", "1s").out) == []


def test_list_says_when_there_is_more(tenant: Tenant) -> None:
    """A limit that cuts something off says so, on standard error; an empty list says what to try."""
    assert "--limit" in run(tenant.connection, "--local", "list", "--limit", "2").err
    assert run(tenant.connection, "--local", "list").err == ""
    assert "--since" in run(tenant.connection, "--local", "list", "--since", "1s").err


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--since", "yesterday"],
        ["list", "--since", "99999w"],
        ["list", "--limit", "0"],
        ["list", "--state", "done"],
        ["list", *(part for word in list(Verdict) for part in ("--verdict", word.value))],
        ["show"],
        ["watch", "--every", "0"],
        ["lists"],
    ],
    ids=lambda arguments: " ".join(arguments[:3]),
)
def test_wrong_use_is_explained(tenant: Tenant, arguments: list[str]) -> None:
    """What is no option or no value ends with 2 and no trace, before anything is read."""
    done = run(tenant.connection, "--local", *arguments)
    assert (done.code, done.out) == (2, "")
    assert "Error: " in done.err
    assert "Traceback" not in done.err


# --- show -----------------------------------------------------------------------------------------------------------


def test_show_finds_by_id_by_its_beginning_and_by_request_id(tenant: Tenant) -> None:
    """All three name the same row, whichever of the last 40 days it is of; the history is complete and in order."""
    for number, text in ((0, tenant.ids[0]), (0, tenant.ids[0][:12].upper()), (2, REQUEST_ID), (4, tenant.ids[4][:9])):
        done = run(tenant.connection, "--local", "--output", "json", "show", text)
        assert done.code == 0, done.err
        assert json.loads(done.out)["RowKey"] == tenant.ids[number]
    history = json.loads(run(tenant.connection, "--local", "--output", "json", "show", tenant.ids[0]).out)["History"]
    assert [one["Event"] for one in history] == ["pending", *STATES]
    assert [one.get("PreviousState") for one in history] == [None, "pending", *STATES[:-1]]
    assert history[-1]["Verdict"] == "malicious"


async def _replayed(connection: str, now: datetime) -> Outcome:
    """A row that failed, was taken up again and settled."""
    first = row(1, now - timedelta(minutes=10))
    failed, again = replace(first, state=State.FAILED), replace(first, state=State.PENDING, state_reason="replayed")
    on_its_way = [replace(first, state=State(name)) for name in STATES[:-1]]
    async with open_rows(connection) as tenant:
        await tenant.write(first)
        steps = [failed, again, *on_its_way, settled(first, Verdict.SPAM, now)]
        await tenant.advance(first, *steps, at=now - timedelta(minutes=5))
    return first


def test_the_history_goes_on_behind_a_replay(storage_connection: str) -> None:
    """`failed` is an end that may be left: what came after it is shown too."""
    replayed = asyncio.run(_replayed(storage_connection, datetime.now(UTC)))
    done = run(storage_connection, "--local", "--output", "json", "show", replayed.key.submission_id)
    assert [one["Event"] for one in json.loads(done.out)["History"]] == ["pending", "failed", "pending", *STATES]


def test_show_has_every_column_in_every_form(tenant: Tenant) -> None:
    """What the row holds stands in the table, in JSON and in TSV alike."""
    record = json.loads(run(tenant.connection, "--local", "--output", "json", "show", tenant.ids[0]).out)
    tsv = run(tenant.connection, "--local", "--output", "tsv", "show", tenant.ids[0]).lines
    table = run(tenant.connection, "--local", "--output", "table", "show", tenant.ids[0]).out
    assert {line.split("\t")[0] for line in tsv} == set(record)
    assert all(re.search(rf"^{name} ", table, re.MULTILINE) for name in record if name != "History")
    assert sum(line.startswith("History\t") for line in tsv) == len(record["History"]) == 5


def test_show_looks_at_one_day_where_told(tenant: Tenant) -> None:
    """`--day` is the only day that is asked."""
    day = f"{tenant.rows[0].received_at:%Y-%m-%d}"
    assert run(tenant.connection, "--local", "show", tenant.ids[0], "--day", day).code == 0
    assert run(tenant.connection, "--local", "show", tenant.ids[0], "--day", "2020-01-01").code == 4


@pytest.mark.parametrize("sought", ["case-0", "ffff", "f" * 32, "/", "a'b", "", "\u202e"])
def test_show_of_nothing_is_not_found(tenant: Tenant, sought: str) -> None:
    """An unknown id, whatever is in it, ends with 4 and one line."""
    done = run(tenant.connection, "--local", "show", sought)
    assert (done.code, done.out) == (4, "")
    assert len(done.err.splitlines()) == 1


async def test_show_refuses_a_beginning_that_fits_several(storage_connection: str) -> None:
    """Two rows of different days that begin alike: both are named, none is shown; a request id is exact."""
    now = datetime.now(UTC)
    first, second = row(1, now, request_id="beef"), row(2, now - timedelta(days=3))
    second = replace(second, key=replace(second.key, submission_id="beef" + "0" * 28))
    third = replace(second, key=replace(second.key, submission_id="beef" + "1" * 28))
    async with open_rows(storage_connection) as rows_here:
        await rows_here.write(first, second, third)
    by_request = await asyncio.to_thread(run, storage_connection, "--local", "--output", "json", "show", "beef")
    assert json.loads(by_request.out)["RowKey"] == first.key.submission_id
    several = await asyncio.to_thread(run, storage_connection, "--local", "show", "BEEF")
    assert (several.code, several.out) == (2, "")
    assert "beef0000" in several.err
    assert "beef1111" in several.err


# --- watch ----------------------------------------------------------------------------------------------------------


def test_watch_gives_what_changed_since(tenant: Tenant) -> None:
    """The feed's rows in their order, filtered by how a row stood after its change; JSON is a line for each."""
    done = run(tenant.connection, "--local", "--output", "json", "watch", "--since", "15m", "--for", "0")
    assert [json.loads(line)["Event"] for line in done.lines] == ["pending", *STATES]
    verdicts = run(tenant.connection, "--local", "watch", "--since", "15m", "--verdict", "malicious", "--for", "0")
    assert [line.split("\t")[4] for line in verdicts.lines] == ["settled"]
    assert (verdicts.code, verdicts.err) == (0, "")


async def test_watch_shows_what_comes_and_nothing_twice(storage_connection: str) -> None:
    """From now on: not what was there; each later change once; Ctrl-C ends it with 130 and no trace."""
    now = datetime.now(UTC)
    old, new = row(1, now), row(2, now)
    async with open_rows(storage_connection) as rows_here:
        await rows_here.write(old)
        with counting_proxy(storage_connection) as proxy:
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                *("--local", "--output", "json", "watch", "--every", "0.2"),
                env=environment(proxy.connection),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            try:
                assert process.stdout is not None
                await looks(proxy, process, 3)  # so the first one is over
                await rows_here.write(new)
                await rows_here.advance(old, replace(old, state=State.DISPATCHED), at=now - timedelta(minutes=4))
                seen = [json.loads(await process.stdout.readline()) for _ in range(2)]
                assert {(one["SubmissionId"], one["Event"]) for one in seen} == {
                    (new.key.submission_id, "pending"),
                    (old.key.submission_id, "dispatched"),
                }
                await looks(proxy, process, 5)  # which must show nothing
                process.send_signal(signal.SIGINT)
                out, err = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err


async def looks(proxy: CountingProxy, process: asyncio.subprocess.Process, count: int) -> None:
    """Return when the process has asked that often from now on; fails where it has ended."""
    proxy.taken()
    while len(proxy.requests) < count:
        assert process.returncode is None
        await asyncio.sleep(0.02)


# --- On a terminal --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list", "--since", "40d"],
        ["show", REQUEST_ID],
        ["show", "hostile"],
        ["list", "--state", "failed"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_screens_keep_their_width(tenant: Tenant, arguments: list[str], columns: int) -> None:
    """No line is longer than the terminal is wide, and of a hostile subject only letters get there."""
    sought = [tenant.ids[1] if one == "hostile" else one for one in arguments]
    shown = screen(tenant.connection, "--local", *sought, columns=columns)
    plain = without_colour(shown)
    for line in re.sub(r"\x1b\[\??[0-9;]*[A-Za-z]|\r", "", plain).splitlines():
        assert cell_len(line) <= columns, line
    assert NEVER_SHOWN.search(plain) is None
    assert "\x1b[2J" not in shown
    assert "\x1b[31m" not in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(("columns", "heading"), [(80, "ID RECEIVED STATE CLAIM VERDICT ITEM"), (140, "SENDER")])
def test_a_wider_screen_shows_more(tenant: Tenant, columns: int, heading: str) -> None:
    """The columns that matter at 80, the others where there is room; a row is a line."""
    lines = without_colour(screen(tenant.connection, "--local", "list", columns=columns)).splitlines()
    assert heading in " ".join(lines[0].split())
    assert len([line for line in lines if line.strip()]) == 1 + 4


def test_colour_is_for_terminals_that_want_it(tenant: Tenant) -> None:
    """Escape sequences on a terminal only, and not with --no-color or NO_COLOR."""
    assert "\x1b[" in screen(tenant.connection, "--local", "list", columns=80)
    assert "\x1b" not in screen(tenant.connection, "--local", "--no-color", "list", columns=80)
    assert "\x1b" not in screen(tenant.connection, "--local", "watch", "--for", "0", columns=80, NO_COLOR="1")
    assert "\x1b" not in run(tenant.connection, "--local", "--output", "table", "list").out


@pytest.mark.parametrize("form", ["table", "json", "tsv"])
def test_hostile_text_is_clean_in_every_form(tenant: Tenant, form: str) -> None:
    """No control character and no bidi override in any form, and a line break forges no row."""
    for command in (["list"], ["show", tenant.ids[1]], ["watch", "--since", "1h", "--for", "0"]):
        done = run(tenant.connection, "--local", "--output", form, *command)
        assert "now" in done.out
        assert NEVER_SHOWN.search(done.out) is None
        assert HOSTILE not in done.out
