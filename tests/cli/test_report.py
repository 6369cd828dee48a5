"""`submissions report` as a process, against months of rows and the days that the app keeps of them."""

import asyncio
import csv
import io
import json
import re
import resource
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient
from rich.cells import cell_len

from local.azurite import Azurite
from shared.cli.report_counts import COUNTS, PERIODS
from shared.cli.report_records import LINE_COLUMNS
from shared.codecs.statistics import statistics_entity
from shared.domain.model import Agreement, Outcome, State
from shared.domain.statistics import DayStatistics
from tests.cli.report_rows import REPORTERS, fill_report, kept_days, months_of_rows
from tests.cli.tenant_rows import HOSTILE
from tests.cli.test_status import fill
from tests.doctor.refusing_proxy import Refusal, refusing_proxy
from tests.support.command_line import ROOT, Done, run, screen, without_colour
from tests.support.counting_proxy import counting_proxy
from tests.support.terminal import Terminal, on_terminal


@dataclass(frozen=True, slots=True)
class Tenant:
    """An account with two months of rows that no test of this module changes."""

    connection: str
    rows: list[Outcome]

    def since(self, days: int) -> list[Outcome]:
        """Return the rows of the days that `--since` so many days ago reads."""
        first = (datetime.now(UTC) - timedelta(days=days)).date()
        return [one for one in self.rows if one.received_at.date() >= first]


async def write(connection: str, rows: list[Outcome], *, runs: bool = True) -> None:
    """Write rows, their days, and timers that ran just now."""
    await fill(connection, datetime.now(UTC), [], runs=runs)
    async with TableServiceClient.from_connection_string(connection) as service:
        await fill_report(service, rows, kept_days(rows))


@pytest.fixture(scope="module")
def tenant(azurite: Azurite) -> Tenant:
    """Return an account with two months of rows."""
    connection, found = azurite.new_account(), months_of_rows(datetime.now(UTC), 60)
    asyncio.run(write(connection, found))
    return Tenant(connection, found)


def report(connection: str, *arguments: str, folder: Path = ROOT) -> Done:
    """Run the command to its end."""
    return run(connection, "--local", "report", *arguments, folder=folder)


def told(connection: str, *arguments: str) -> dict[str, Any]:
    """Return what it says as JSON."""
    done = report(connection, "--output", "json", *arguments)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def counted(rows: list[Outcome]) -> dict[str, int]:
    """Return counts of rows, counted here in another way."""
    states = Counter(one.state.value for one in rows)
    agreements = Counter(one.agreement for one in rows if one.agreement)
    return {
        "Received": len(rows),
        "Submitted": sum(one.submitted_at is not None for one in rows),
        "Skipped": states["skipped"],
        "Failed": states["failed"],
        "Settled": states["settled"],
        "Confirmed": agreements[Agreement.CONFIRMED],
        "Refuted": agreements[Agreement.REFUTED],
        "Undecided": agreements[Agreement.UNDECIDED],
        "FalseNegatives": sum(one.direction == "falseNegative" for one in rows),
    }


# --- figures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", PERIODS)
def test_periods_add_up_to_the_rows(tenant: Tenant, by: str) -> None:
    """Each day, week or month has a line, and what they sum to is what stands in the rows."""
    found = told(tenant.connection, "--since", "40d", "--by", by)
    expected = counted(tenant.since(40))
    assert {name: found["Total"][name] for name in expected} == expected
    for name in COUNTS:
        assert sum(line[name] for line in found["Lines"]) == found["Total"][name]
    names = [date.fromisoformat(line["Name"] + ("-01" if by == "month" else "")) for line in found["Lines"]]
    assert names == sorted(names)
    assert (
        len(names)
        == {
            "day": 41,
            "week": len({one.isocalendar()[:2] for one in days_of(40)}),
            "month": len({one.month for one in days_of(40)}),
        }[by]
    )


def days_of(days: int) -> list[date]:
    """Return the days from so many days ago to today."""
    today = datetime.now(UTC).date()
    return [today - timedelta(days=ago) for ago in range(days, -1, -1)]


@pytest.mark.parametrize("by", ["reporter", "campaign", "reason"])
def test_groups_add_up_to_the_days(tenant: Tenant, by: str) -> None:
    """However rows are grouped, their counts are those that the app kept."""
    found = told(tenant.connection, "--since", "40d", "--by", by)
    assert found["Lines"]
    for name in COUNTS:
        assert sum(line[name] for line in found["Lines"]) == found["Total"][name], name
    received = [line["Received"] for line in found["Lines"]]
    assert received == sorted(received, reverse=True)


def test_a_day_has_its_own_times_and_reporters(tenant: Tenant) -> None:
    """What cannot be added up is told of a day and of a group, never of a week."""
    day = told(tenant.connection, "--since", "40d", "--by", "day")["Lines"][3]
    assert day["SecondsToSubmitMedian"] > 0
    assert day["Reporters"] > 0
    assert "SecondsToSubmitMedian" not in told(tenant.connection, "--since", "40d", "--by", "week")["Lines"][0]
    assert told(tenant.connection, "--since", "40d", "--by", "source")["Lines"][0]["SecondsToVerdictP95"] > 0


def test_agreement_is_a_share_of_decided_rows(tenant: Tenant) -> None:
    """Undecided ones are told beside it."""
    total = told(tenant.connection)["Total"]
    assert total["Undecided"] > 0
    assert total["RightPercent"] == round(100 * total["Confirmed"] / (total["Confirmed"] + total["Refuted"]), 1)


def test_reporters_are_named_only_where_that_is_asked(tenant: Tenant) -> None:
    """Else they are numbered, in hints and in every form."""
    addresses = [f"{name}@contoso.example" for name in REPORTERS]
    named = told(tenant.connection, "--by", "reporter", "--names")
    assert sorted(line["Name"] for line in named["Lines"]) == sorted(addresses)
    for form in ("csv", "table"):
        done = report(tenant.connection, "--by", "reporter", "--output", form)
        assert "reporter 1" in done.out
        assert not any(name in done.out for name in REPORTERS), form
    numbered = told(tenant.connection, "--by", "reporter")
    assert [line["Received"] for line in numbered["Lines"]] == [line["Received"] for line in named["Lines"]]


def test_hints_name_the_rows_behind_them(tenant: Tenant) -> None:
    """A sender that is wrongly caught again and again, and a reporter who is mostly wrong."""
    hints = {hint["About"]: hint for hint in told(tenant.connection, "--by", "sender", "--names")["Hints"]}
    caught, wrong = hints["news@shop.example"], hints["jon.silva@contoso.example"]
    assert (caught["Kind"], wrong["Kind"]) == ("filter", "training")
    by_id = {one.key.submission_id: one for one in tenant.rows}
    assert {by_id[row].sender for row in caught["Rows"]} == {"news@shop.example"}
    assert {by_id[row].agreement for row in wrong["Rows"]} == {Agreement.REFUTED}


def test_csv_has_a_head_and_tsv_has_none(tenant: Tenant) -> None:
    """As the other commands have it; the verdict goes to standard error."""
    done = report(tenant.connection, "--since", "20d", "--by", "day", "--output", "csv")
    lines = list(csv.DictReader(io.StringIO(done.out)))
    assert len(lines) == 21
    assert list(lines[0]) == list(LINE_COLUMNS)
    assert done.err.startswith("PASS: Reports were submitted on ")
    assert len(report(tenant.connection, "--since", "20d", "--by", "day").lines) == 21


# --- costs ----------------------------------------------------------------------------------------------------------


def test_periods_read_days_alone_and_groups_those_days_rows(tenant: Tenant) -> None:
    """By month not one row is read; by reporter those of the days asked for, and no other."""
    with counting_proxy(tenant.connection) as proxy:
        for arguments, reads in ((("--by", "month"), 0), (("--since", "3d", "--by", "reporter"), 4)):
            done = report(proxy.connection, *arguments)
            assert done.code == 0, done.err
            asked = proxy.taken()
            assert sum("/outcomes(" in path for path in asked) == reads
            assert sum("/statistics(" in path for path in asked) == 1


# --- the verdict ----------------------------------------------------------------------------------------------------


def test_a_missed_day_ends_with_1(storage_connection: str) -> None:
    """In every form, and in `status --check`, by the same sentence."""
    now = datetime.now(UTC)
    rows = months_of_rows(now, 20)
    missed = (now - timedelta(days=5)).date()
    spoilt = [
        replace(one, state=State.PENDING, submitted_at=None, covered_by=None, agreement=None)
        if one.received_at.date() == missed
        else one
        for one in rows
    ]
    asyncio.run(write(storage_connection, spoilt))
    for form in ("table", "csv"):
        done = report(storage_connection, "--since", "30d", "--output", form)
        assert done.code == 1
        assert f"On 1 day reports were due and none was submitted: {missed.isoformat()}" in " ".join(
            (done.out + done.err).split()
        )
    checked = run(storage_connection, "--local", "status", "--check")
    assert checked.code == 1
    assert "irregular: On 1 day reports were due" in checked.err
    assert "regular\tFAIL\tOn 1 day reports" in checked.out


def test_too_little_data_is_no_failure(storage_connection: str) -> None:
    """NOT YET ends with 0."""
    asyncio.run(write(storage_connection, months_of_rows(datetime.now(UTC), 3)))
    done = report(storage_connection)
    assert done.code == 0
    assert done.err.startswith("NOT YET: The first report is of ")


def test_a_silent_timer_is_a_failure(storage_connection: str) -> None:
    """Also where all days were in order."""
    asyncio.run(write(storage_connection, months_of_rows(datetime.now(UTC), 20), runs=False))
    done = report(storage_connection)
    assert (done.code, done.err) == (
        1,
        "FAIL: The timers collect_reports, dispatch, settle_outcomes are silent.\n",
    )


async def test_a_reader_without_an_administrator_s_rights_gets_the_rest(tenant: Tenant) -> None:
    """Pipelines may read days and rows: the reason says what was not looked at."""
    async with refusing_proxy(tenant.connection, Refusal("GET", "/worklist")) as proxy:
        done = await asyncio.to_thread(report, proxy.connection)
    assert done.code == 0
    assert done.err.endswith("waiting and timers were not looked at.\n")


def test_days_of_the_past_are_judged_without_the_present(tenant: Tenant) -> None:
    """Whether a timer is silent now says nothing of last month."""
    found = told(tenant.connection, "--since", "40d", "--until", "20d")
    assert found["Regular"]["Reason"].endswith("waiting and timers were not looked at.")
    assert len(told(tenant.connection, "--since", "40d", "--until", "20d", "--by", "day")["Lines"]) in {20, 21}


def test_an_account_without_days_says_so(storage_connection: str) -> None:
    """No table of days, as before the app kept any."""
    asyncio.run(fill(storage_connection, datetime.now(UTC), []))
    done = report(storage_connection, "--output", "table")
    assert done.code == 0
    assert "NOT YET" in done.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--to", "report.pdf"), "FILE.html"),
        (("--since", "3d", "--until", "5d"), "--since must be before --until"),
    ],
)
def test_wrong_use_is_told(tenant: Tenant, arguments: tuple[str, ...], says: str) -> None:
    """One line, exit code 2."""
    done = report(tenant.connection, *arguments)
    assert done.code == 2
    assert says in done.err


# --- the screen -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by", "columns"), [("week", 80), ("week", 140), ("sender", 80)])
def test_the_screen_fits(tenant: Tenant, columns: int, by: str) -> None:
    """Each line, and the verdict comes first; of the bar that ran while rows were read nothing is left."""
    lines = seen(tenant.connection, "--since", "50d", "--by", by, columns=columns).lines
    assert lines[0] == "Do we submit regularly? PASS"
    assert max(map(cell_len, lines)) <= columns
    assert [line for line in lines if re.match(r"received +\d+  [▁▂▃▄▅▆▇█ ]+ {2}\d{4}-", line)]


def seen(connection: str, *arguments: str, columns: int) -> Terminal:
    """Run the command to its end on a terminal."""
    with on_terminal(connection, "report", *arguments, columns=columns) as terminal:
        assert terminal.end() == 0, terminal.lines
    return terminal


def test_a_terminal_without_block_characters_gets_plain_bars(tenant: Tenant) -> None:
    """And no curve, whose place would be question marks."""
    text = screen(tenant.connection, "--local", "report", columns=80, PYTHONIOENCODING="ascii")
    assert re.search(r"^\d{4}-\d\d-\d\d +\d+  #+ ", without_colour(text), re.MULTILINE)
    assert "?" not in text.replace("regularly?", "")


def test_hostile_names_stay_in_their_cell(storage_connection: str, tmp_path: Path) -> None:
    """On the terminal, in CSV and on the page, a sender is a text."""
    rows = [
        replace(one, sender=f"{HOSTILE}=1<script>alert(1)</script>@a.example")
        for one in months_of_rows(datetime.now(UTC), 9)
    ]
    asyncio.run(write(storage_connection, rows))
    lines = seen(storage_connection, "--since", "9d", "--by", "sender", columns=140).lines
    at = next(number for number, line in enumerate(lines) if line.startswith("SENDER"))
    assert lines[at + 1].startswith("pay[2j[31m nowcod.exe")
    assert lines[at + 1].split()[-1] == "%"
    assert report(storage_connection, "--to", "page.html", folder=tmp_path).code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "\u202e" not in page


# --- a year ---------------------------------------------------------------------------------------------------------


def test_a_year_by_month_is_one_read_of_small_rows(storage_connection: str) -> None:
    """1,000 reports a day: at most 400 entities, and at most 2 s of processor time with the start of Python."""
    today = datetime.now(UTC).date()
    days = [
        statistics_entity(DayStatistics(day=today - timedelta(days=ago), received=1000, submitted=900, covered=100))
        for ago in range(366)
    ]

    async def keep() -> None:
        await fill(storage_connection, datetime.now(UTC), [])
        async with TableServiceClient.from_connection_string(storage_connection) as service:
            await fill_report(service, [], days)

    asyncio.run(keep())
    with counting_proxy(storage_connection) as proxy:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = report(proxy.connection, "--since", "365d", "--by", "month", "--output", "json")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        asked = proxy.taken()
    assert done.code == 0, done.err
    assert json.loads(done.out)["Total"]["Received"] == 366_000
    assert not [path for path in asked if "/outcomes(" in path]
    assert sum("/statistics(" in path for path in asked) == 1  # a page holds 1,000; there are 366
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= 2
