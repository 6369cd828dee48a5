"""All three kinds from the command to the verdict and back: Azurite, the Graph simulator, the app, the commands."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.graph_simulator.verdicts import Verdict
from tests.cli.submitting import Account, Ended, account, ended
from tests.support.command_line import run
from tests.support.reports import ANNA, original
from tests.support.stage import Stage, stage

URL, FILE, MAIL = "https://lure.test/", "lure.bin", "lure.eml"
THREAT = Verdict("threatsFound", "urlFileShouldBeBlocked", delay_s=2)
OPTIONS = ("--category", "phishing", "--wait=60", "--output", "json")


async def submitted(on: Account, app: Stage, kind: str, *arguments: str) -> Ended:
    """Run `submit` while the app runs."""
    process = await on.start(kind, *arguments, *OPTIONS)
    while process.returncode is None:
        await app.round()
        app.clock.advance(minutes=2)
        await asyncio.sleep(0.1)  # the command looks in its own time
    return await ended(process)


async def test_a_request_is_followed_and_then_found(storage_connection: str, tmp_path: Path) -> None:
    """Each kind ends with Microsoft's verdict, which `list`, `show` and `watch` then tell of the same submission id."""
    (tmp_path / MAIL).write_bytes(original("lure"))
    (tmp_path / FILE).write_bytes(b"MZ lure")
    async with account(storage_connection, tmp_path) as on, stage(connection=storage_connection) as app:
        app.clock.time = datetime.now(UTC)
        for name in (URL, FILE):
            app.graph.control.set_verdict(name, THREAT)
        ends = {
            "url": await submitted(on, app, "url", URL, "--request-id", "case-url"),
            "file": await submitted(on, app, "file", FILE, "--request-id", "case-file"),
            "email": await submitted(on, app, "email", MAIL, "--recipient", ANNA, "--request-id", "case-email"),
        }
    assert {kind: (end.code, end.records[0]["State"]) for kind, end in ends.items()} == dict.fromkeys(
        ends, (0, "settled")
    )
    ids = {kind: str(end.records[0]["SubmissionId"]) for kind, end in ends.items()}
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()  # the stage's clock runs ahead
    listed = {one["Kind"]: one for one in json.loads(read(storage_connection, "list", "--until", tomorrow))}
    assert {kind: (one["RowKey"], one["Verdict"]) for kind, one in listed.items()} == {
        kind: (row_id, "malicious") for kind, row_id in ids.items()
    }
    for kind, row_id in ids.items():
        shown = json.loads(read(storage_connection, "show", f"case-{kind}"))
        assert (shown["RowKey"], shown["History"][0]["Event"]) == (row_id, "pending")
        assert shown["History"][-1]["Event"] == "settled"
    verdicts = read(storage_connection, "watch", "--since", "1d", "--verdict", "malicious", "--for", "0").splitlines()
    assert {json.loads(line)["SubmissionId"] for line in verdicts} == set(ids.values())


def read(connection: str, *arguments: str) -> str:
    """What a command that reads prints as JSON; it must end well."""
    done = run(connection, "--local", "--output", "json", *arguments)
    assert (done.code, done.err) == (0, "")
    return done.out
