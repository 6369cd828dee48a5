"""`submissions dispute`, from a verdict that refuted the claim to the next one, and what it refuses."""

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.graph_simulator.verdicts import Verdict
from shared.cli.disputing import check_disputable, disputed_item
from shared.cli.errors import CommandError
from tests.cli.submitting import Account, Ended, account, ended
from tests.support.command_line import run
from tests.support.reports import ANNA
from tests.support.stage import Stage, stage

URL = "https://lure.test/"
HARMLESS = Verdict("noThreatsFound", "urlFileShouldNotBeBlocked", delay_s=2)
THREAT = Verdict("threatsFound", "urlFileShouldBeBlocked", delay_s=2)
ID = "5d0c7a1e2b3f4a596877869504132231"


async def run_beside(on: Account, app: Stage, *arguments: str) -> Ended:
    """Run a command while the app runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "shared.cli", "--local", "--output", "json", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=on.folder,
        env=on.environment,
    )
    while process.returncode is None:
        await app.round()
        app.clock.advance(minutes=2)
        await asyncio.sleep(0.1)  # the command looks in its own time
    return await ended(process)


def shown(connection: str, sought: str) -> dict[str, Any]:
    """Return the row as `show` tells it."""
    done = run(connection, "--local", "--output", "json", "show", sought)
    assert (done.code, done.err) == (0, "")
    found: dict[str, Any] = json.loads(done.out)
    return found


async def test_a_disputed_verdict_is_asked_for_anew(storage_connection: str, tmp_path: Path) -> None:
    """A URL is submitted once more though its item was just settled; `show` links both ways."""
    claim = ("--category", "phishing", "--wait=60", "--request-id", "case-1")
    async with account(storage_connection, tmp_path) as on, stage(connection=storage_connection) as app:
        app.clock.time = datetime.now(UTC)
        app.graph.control.set_verdict(URL, HARMLESS)
        first = await run_beside(on, app, "submit", "url", URL, *claim)
        assert first.code == 0, first.err
        before = shown(storage_connection, "case-1")
        assert (before["Agreement"], before.get("DisputedBy")) == ("refuted", None)
        app.graph.control.set_verdict(URL, THREAT)
        dispute = await run_beside(on, app, "dispute", "case-1", "--reason", "seen by two people", "--wait=60")
        assert dispute.code == 0, dispute.err
        after = shown(storage_connection, dispute.records[0]["SubmissionId"])
    assert (after["State"], after["Agreement"], after["Disputes"]) == ("settled", "confirmed", before["RowKey"])
    assert (after["Category"], after["ItemKey"]) == ("phishing", before["ItemKey"])
    assert after["GraphSubmissionId"] != before["GraphSubmissionId"]
    assert shown(storage_connection, "case-1")["DisputedBy"] == [after["RowKey"]]


def refuted(kind: str, **columns: Any) -> dict[str, Any]:
    """Return a row whose claim was refuted."""
    return {
        "RowKey": ID,
        "Kind": kind,
        "State": "settled",
        "Category": "phishing",
        "Agreement": "refuted",
        **columns,
    }


@pytest.mark.parametrize("agreement", [{"Agreement": "confirmed"}, {"Agreement": "undecided"}, {}])
def test_only_what_was_refuted_is_disputed(agreement: dict[str, str]) -> None:
    """The row's state and what became of its claim are told."""
    row = {"RowKey": ID, "State": "settled", **agreement}
    with pytest.raises(CommandError, match=f"{ID} is settled.*: only a verdict that refuted"):
        check_disputable(row)


def test_a_mail_is_given_again_or_named_in_a_mailbox() -> None:
    """A row does not hold its mail; its Message-ID finds it in a mailbox that the app may read."""
    row = refuted("email", Recipient=ANNA, InternetMessageId="<a@b.example>")
    with pytest.raises(CommandError, match=r"--path MAIL\.eml, or name with --mailbox"):
        disputed_item(row, None, None)
    assert disputed_item(row, None, ANNA) == {
        "category": "phishing",
        "disputes": ID,
        "recipient": ANNA,
        "message": {"mailbox": ANNA, "internetMessageId": "<a@b.example>"},
    }


def test_a_url_that_its_row_has_cut_is_not_sent() -> None:
    """What is left of it would be another item."""
    with pytest.raises(CommandError, match="the beginning of the URL only"):
        disputed_item(refuted("url", Url="https://a.example/" + "x" * 982), None, None)


def test_a_file_is_named_where_it_was_uploaded() -> None:
    """Uploads are named by their content, which its row tells; a file that is given again is uploaded anew."""
    row = refuted("file", FileName="lure.bin", FileSha256="ab" * 32)
    assert disputed_item(row, None, None)["file"] == {"name": "lure.bin", "content": f"content/{'ab' * 32}"}
    assert disputed_item(row, Path("lure.bin"), None)["path"] == "lure.bin"


def test_what_nobody_knows_cannot_be_disputed(storage_connection: str, tmp_path: Path) -> None:
    """It ends as `show` does for an id that no row has."""

    async def made() -> None:
        async with account(storage_connection, tmp_path):
            pass

    asyncio.run(made())
    done = run(storage_connection, "--local", "dispute", ID, "--reason", "asks for the password", "--dry-run")
    assert done.code == 4
    assert "nothing with the id" in done.err
