"""`submissions submit` as a process on Azurite: what it says, what it sends, and what the intake makes of that."""

import asyncio
import base64
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.graph_simulator.verdicts import Verdict
from shared.cli.signed_in import address_in
from shared.cli.submit import expiry
from shared.domain import keys
from shared.domain.model import State
from shared.usecases.arrivals.intake import IntakeManual
from tests.cli.submitting import OPERATOR, Account, account, ended, ids
from tests.support.reports import ANNA, original
from tests.support.stage import Stage, stage

LINES, BAD = 1_000, 17
PHISHING = ("--category", "phishing")


@pytest.fixture
async def on(storage_connection: str, tmp_path: Path) -> AsyncIterator[Account]:
    """Yield an empty account."""
    async with account(storage_connection, tmp_path) as opened:
        yield opened


def write_urls(on: Account, lines: int = LINES, bad: Iterable[int] = ()) -> list[str]:
    """Write `urls.csv` with that many URLs, bad ones in those lines; returns where the bad ones are."""
    spoilt = set(bad)
    urls = (f"ftp://{line}.test" if line in spoilt else f"https://lure-{line}.test/" for line in range(2, lines + 2))
    (on.folder / "urls.csv").write_text("\r\n".join(["url", *urls, ""]))
    return [f"line {line}" for line in sorted(spoilt)]


async def taken_in(bodies: Iterable[str]) -> list[State]:
    """The states of the rows that the intake makes of these messages, in this order."""
    async with stage() as app:
        intake: IntakeManual = app.app.intake_manual
        for body in bodies:
            await intake.run(body)
        return [row.state for row in await app.outcomes()]


# --- The issue's own measure ----------------------------------------------------------------------------------------


async def test_a_thousand_urls_with_17_bad_lines(on: Account) -> None:
    """The 17 are named by line and reason, 983 are enqueued once, and the same file again enqueues none."""
    bad = write_urls(on, bad=range(50, 50 + 59 * BAD, 59))
    first = await on.submit("url", "--from-file", "urls.csv", *PHISHING, "--output", "json")
    assert first.code == 1
    named = dict(line.split(": ", 1) for line in first.told[:-1])
    assert list(named) == bad
    assert set(named.values()) == {
        "url: must be an absolute http or https URL without white space or control characters"
    }
    assert first.told[-1] == "983 sent, 0 sent before, 0 repeated, 17 refused"
    bodies = await on.bodies()
    assert sorted(ids(first.records)) == sorted(keys.request_id(json.loads(body)["requestId"]) for body in bodies)
    assert len(bodies) == len(set(bodies)) == LINES - BAD
    second = await on.submit("url", "--from-file", "urls.csv", *PHISHING, "--output", "json")
    assert second.code == 1
    assert second.told[-1] == "0 sent, 983 sent before, 0 repeated, 17 refused"
    assert ids(second.records) == ids(first.records)
    assert await on.count() == LINES - BAD
    assert await taken_in(bodies) == [State.PENDING] * (LINES - BAD)


async def test_a_killed_run_that_is_repeated_makes_each_row_once(on: Account) -> None:
    """What was enqueued without its marker is enqueued twice, and the intake takes it once."""
    write_urls(on, bad=range(2, 2 + BAD))
    process = await on.start("url", "--from-file", "urls.csv", *PHISHING)
    await on.at_least(100)
    process.kill()
    assert (await ended(process)).code == -signal.SIGKILL
    before = await on.count()
    assert 100 <= before < LINES - BAD
    assert (await on.submit("url", "--from-file", "urls.csv", *PHISHING)).code == 1
    bodies = await on.bodies()
    assert LINES - BAD <= len(bodies) <= LINES - BAD + 16
    assert await taken_in(bodies) == [State.PENDING] * (LINES - BAD)


async def test_an_interrupted_run_says_what_it_sent(on: Account) -> None:
    """Ctrl-C ends it with 130; every message that is on the queue is in its list, with a marker."""
    write_urls(on)
    process = await on.start("url", "--from-file", "urls.csv", *PHISHING, "--output", "json")
    await on.at_least(50)
    process.send_signal(signal.SIGINT)
    end = await ended(process)
    assert end.code == 130
    assert "the same command again sends the rest and nothing twice" in end.err
    assert "Traceback" not in end.err
    sent = set(ids(end.records))
    assert sent == {keys.request_id(json.loads(body)["requestId"]) for body in await on.bodies()}
    assert set(await on.blobs("requests/")) == {f"requests/{one}" for one in sent}


# --- What is sent ---------------------------------------------------------------------------------------------------


async def test_content_is_uploaded_under_the_hash_of_it(on: Account) -> None:
    """Mails and files; the message names the blob, and the intake finds in it what was meant."""
    (on.folder / "lure.eml").write_bytes(original("lure"))
    (on.folder / "invoice.htm").write_bytes(b"<html>")
    mail = await on.submit("email", "lure.eml", *PHISHING, "--output", "json")
    page = await on.submit("file", "invoice.htm", "absent.htm", "--category", "malware", "--output", "json")
    assert (mail.code, page.code) == (0, 1)
    assert mail.told[0] == f"lure.eml (argument 1): recipient {ANNA}, as the mail's own headers say"
    assert page.told[0] == "absent.htm (argument 2): path: cannot be read: No such file or directory"
    messages = [json.loads(body) for body in await on.bodies()]
    blobs = await on.blobs("content/")
    assert blobs[messages[0]["message"]["content"]] == original("lure")
    assert blobs[messages[1]["file"]["content"]] == b"<html>"
    assert messages[1]["file"]["name"] == "invoice.htm"
    async with stage() as app:
        for name, content in blobs.items():
            await app.ports.containers["submission-content"].put(name, content)
        for message in messages:
            await app.app.intake_manual.run(json.dumps(message))
        rows = await app.outcomes()
    assert {row.key.submission_id for row in rows} == {*ids(mail.records), *ids(page.records)}
    assert {row.state for row in rows} == {State.PENDING}


async def test_a_mail_is_named_by_its_ids(on: Account) -> None:
    """Both kinds of id, many at once, with an entry that ends at a midnight."""
    end = await on.submit(
        *("email", "--mailbox", ANNA, "--message-id", "AAMk=", "--internet-message-id", "<a@b.test>"),
        *("--recipient", ANNA, "--category", "spam", "--block", "--expires", "14d", "--note", "case 7"),
    )
    assert end.code == 0
    # Both are sent at once, so either may stand first on the queue.
    bodies = [json.loads(body) for body in await on.bodies()]
    by_id, by_internet_id = sorted(bodies, key=lambda body: "internetMessageId" in body["message"])
    assert by_id["message"] == {"mailbox": ANNA, "messageId": "AAMk="}
    assert by_internet_id["message"] == {"mailbox": ANNA, "internetMessageId": "<a@b.test>"}
    assert by_id["allowOrBlock"]["action"] == "block"
    assert by_id["allowOrBlock"]["expiresAt"].endswith("T00:00:00Z")
    assert by_id["requestedBy"] == OPERATOR


async def test_again_sends_what_was_sent_before(on: Account) -> None:
    """The message goes out once more; its marker stays the first one."""
    ask = ("url", "https://a.test/", *PHISHING, "--request-id", "..")
    assert (await on.submit(*ask)).told == ["1 sent, 0 sent before, 0 repeated, 0 refused"]
    markers = await on.blobs("requests/")
    assert (await on.submit(*ask)).told == ["0 sent, 1 sent before, 0 repeated, 0 refused"]
    assert (await on.submit(*ask, "--again")).told == ["1 sent, 0 sent before, 0 repeated, 0 refused"]
    assert await on.blobs("requests/") == markers
    assert len(await on.bodies()) == 2


async def test_a_request_id_is_not_used_for_other_content(on: Account) -> None:
    """The intake would reject it: it is refused here, also with --again."""
    ask = ("url", *PHISHING, "--request-id", "case-1")
    await on.submit(*ask, "https://a.test/")
    for more in ((), ("--again",)):
        end = await on.submit(*ask, "https://b.test/", *more)
        assert end.code == 1
        assert end.told[0] == "argument 1: requestId: was sent with other content before; give another one"
    assert await on.count() == 1


# --- What is not sent -----------------------------------------------------------------------------------------------


async def test_nothing_is_sent_that_was_not_meant(on: Account) -> None:
    """A dry run, and all or nothing, tell what they refuse and send nothing."""
    (bad,) = write_urls(on, 3, bad=[3])
    dry = await on.submit("url", "--from-file", "urls.csv", *PHISHING, "--dry-run", "--output", "json")
    assert [one["Result"] for one in dry.records] == ["would be sent"] * 2
    whole = await on.submit("url", "--from-file", "urls.csv", *PHISHING, "--all-or-nothing")
    assert whole.out == ""
    for end in (dry, whole):
        assert end.code == 1
        assert end.told[0].startswith(f"{bad}: url: ")
        assert "nothing was sent" in end.err
    assert await on.count() == 0
    assert await on.blobs("") == {}


async def test_lines_come_from_standard_input_too(on: Account) -> None:
    """JSON lines as well as CSV; a repeated line is told and sent once."""
    lines = '{"url": "https://a.test/"}\n{"url": "https://a.test/"}\n'
    end = await on.submit("url", "--from-file", "-", *PHISHING, typed=lines)
    assert end.code == 0
    assert end.told[0] == "line 2: the same request as line 1, which is sent once"
    assert await on.count() == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("url", *PHISHING), "name what to submit"),
        (("url", "https://a.test/", "--from-file", "-", *PHISHING), "not by both"),
        (("url", "https://a.test/"), "--category"),
        (("url", "https://a.test/", "--category", "spam"), "spam"),
        (("url", "https://a.test/", "https://b.test/", *PHISHING, "--request-id", "x"), "names one request"),
        (("url", "--from-file", "absent.csv", *PHISHING), "absent.csv"),
        (("url", "--from-file", "utf16.csv", *PHISHING), "UTF-16: save it as UTF-8"),
        (("email", "--from-file", "headerless.csv", *PHISHING), "must name columns"),
    ],
    ids=["nothing", "both", "no category", "spam", "one id", "absent", "UTF-16", "headerless"],
)
def test_wrong_use_is_told_as_such(azurite_free: Path, arguments: tuple[str, ...], told: str) -> None:
    """Exit code 2 and what to do; no service is asked."""
    command = [sys.executable, "-W", "error", "-m", "shared.cli", "--local", "submit", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "SUBMISSIONS_REQUESTED_BY": OPERATOR}
    end = subprocess.run(command, cwd=azurite_free, env=environment, capture_output=True, text=True, check=False)
    assert (end.returncode, end.stdout) == (2, "")
    assert told in end.stderr


@pytest.fixture
def azurite_free(tmp_path: Path) -> Path:
    """Return a folder with files that are no requests."""
    (tmp_path / "utf16.csv").write_bytes("url\nhttps://a.test/\n".encode("utf-16"))
    (tmp_path / "headerless.csv").write_text("https://a.test/\n")
    return tmp_path


# --- On a terminal --------------------------------------------------------------------------------------------------


async def test_a_bar_is_shown_to_whoever_watches(on: Account) -> None:
    """On standard error, where that is a terminal; the data stays clean."""
    write_urls(on, 40)
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shared.cli", "--local", "submit", "url", "--from-file", "urls.csv", *PHISHING),
        stdout=asyncio.subprocess.PIPE,
        stderr=theirs,
        cwd=on.folder,
        env={**on.environment, "COLUMNS": "80", "TERM": "xterm"},
    )
    os.close(theirs)
    out, _ = await process.communicate()
    screen = read_all(ours)
    assert "sending" in screen
    assert "/40" in screen
    assert "40 sent, 0 sent before" in screen
    assert out.decode().count("\tsent\t") == out.decode().count("\n") == 40


def read_all(terminal: int) -> str:
    """Everything that was written to a terminal whose other side is closed."""
    found = b""
    try:
        while chunk := os.read(terminal, 65_536):
            found += chunk
    except OSError:  # Linux's way to say that the other side is closed
        pass
    finally:
        os.close(terminal)
    return found.decode()


# --- Followed to the verdict ----------------------------------------------------------------------------------------


async def test_waiting_follows_to_the_verdict(storage_connection: str, tmp_path: Path) -> None:
    """Each request's end is shown; one that ended badly is named and makes the exit code 1."""
    good = "https://lure.test/"
    async with account(storage_connection, tmp_path) as on, stage(connection=storage_connection) as app:
        app.clock.time = datetime.now(UTC)
        app.graph.control.set_verdict(good, Verdict("threatsFound", "urlFileShouldBeBlocked", delay_s=2))
        early = await on.submit("url", good, *PHISHING, "--wait", "0")
        assert early.code == 5
        assert (
            "time ran out before all of them were final; the app has taken none of them in: is it running?" in early.err
        )
        process = await on.start("url", good, *PHISHING, "--wait=60", "--output", "json")
        await played(app, process)
        end = await ended(process)
        assert (end.code, await on.count()) == (0, 0)
        assert [(one["State"], one["Verdict"]) for one in end.records] == [("settled", "malicious")]
        absent = ("email", "--mailbox", ANNA, "--message-id", "AAMk=", "--recipient", ANNA)
        process = await on.start(*absent, *PHISHING, "--wait=60", "--output", "json")
        await played(app, process)
        end = await ended(process)
        assert end.code == 1
        assert [(one["State"], one["StateReason"]) for one in end.records] == [("rejected", "mailbox_not_found")]
        assert "rejected mailbox_not_found" in end.err


async def played(app: Stage, process: asyncio.subprocess.Process) -> None:
    """Let the app run until the command has ended."""
    while process.returncode is None:
        await app.round()
        app.clock.advance(minutes=2)
        await asyncio.sleep(0.1)  # the command looks in its own time


# --- Pure ones ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("14d", "2026-12-08T00:00:00Z"),
        ("2026-12-20", "2026-12-20T00:00:00Z"),
        ("2026-12-20T10:00:00+01:00", "2026-12-20T10:00:00+01:00"),
        ("soon", "soon"),
        ("99999d", "99999d"),
    ],
)
def test_an_entry_ends_at_a_midnight_unless_a_time_is_given(text: str, at: str) -> None:
    """So that the same command on the same day is the same request; anything else is left to the codec."""
    now = datetime(2026, 11, 24, 23, 59, tzinfo=UTC)
    assert expiry(text, now) == at


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"upn": "a@b.test", "unique_name": "c@d.test"}, "a@b.test"),
        ({"unique_name": "live.com#c@d.test", "preferred_username": "e@f.test"}, "e@f.test"),
        ({"appid": "x"}, None),
        ([], None),
    ],
    ids=["person", "guest", "program", "no claims"],
)
def test_who_is_signed_in_stands_in_the_token(claims: object, told: str | None) -> None:
    """The first claim that is a mail address; a program's token has none."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    assert address_in(f"head.{payload}.signature") == told


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "a.!.c"])
def test_a_token_that_tells_nothing_names_nobody(token: str) -> None:
    """Some sign-ins give tokens that are not for reading."""
    assert address_in(token) is None
