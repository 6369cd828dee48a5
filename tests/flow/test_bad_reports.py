"""Reports that are wrong in every way people and machines know: each ends in its own state and harms no other."""

import unicodedata
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

import pytest

from local.graph_simulator import FileAttachment, ReferenceAttachment
from local.graph_simulator.faults import Scope, answer_status
from local.graph_simulator.mail_item import Attachment
from local.sample_tenant import REPORTING_MAILBOX, attach_as_file, write_report
from local.sample_tenant.oddities import (
    HOSTILE_SUBJECT,
    OUTLOOK_MSG,
    UNDECODABLE,
    address_to_many,
    cut_in_body,
    cut_in_headers,
    give_hostile_subject,
    grow,
)
from shared.domain.model import SkipReason, State
from tests.support.reports import ANNA, as_item, original, report, report_with, rows_by_report, submissions
from tests.support.stage import Stage, assert_feed_is_whole, stage

CONTACT = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ben Okafor\r\nEND:VCARD\r\n"
MEETING = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
PAGE = b"<!doctype html>\r\n<html><body>Subject: pay now</body></html>\r\n"
PIXEL = FileAttachment("logo.gif", "image/gif", b"GIF89a;", is_inline=True)
SETTLED = (State.SETTLED, None)


@dataclass(frozen=True, slots=True)
class Bad:
    """Attachments of a report, and how its row must end."""

    attachments: tuple[Attachment, ...]
    state: State
    reason: str | None = None
    age: timedelta = timedelta(minutes=1)


def skipped(reason: SkipReason, *attachments: Attachment, age: timedelta = timedelta(minutes=1)) -> Bad:
    """A report that is rightly not submitted."""
    return Bad(attachments, State.SKIPPED, reason, age)


def settled(*attachments: Attachment) -> Bad:
    """A report that is odd and good all the same."""
    return Bad(attachments, State.SETTLED)


def forwarded(levels: int) -> bytes:
    """A mail that holds a mail that holds a mail: only the outermost was reported."""
    inner = original("innermost")
    for level in range(levels):
        head, blank, _ = original(f"forward-{level}").partition(b"\r\n\r\n")
        boundary = f"level-{level}".encode()
        kind = b'\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="' + boundary + b'"'
        part = b"--" + boundary + b"\r\nContent-Type: message/rfc822\r\n\r\n" + inner
        inner = head + kind + blank + part + b"\r\n--" + boundary + b"--\r\n"
    return inner


BAD = {
    "no original": skipped(SkipReason.NO_ORIGINAL),
    "a picture only": skipped(SkipReason.NO_ORIGINAL, PIXEL),
    "two originals": skipped(
        SkipReason.MULTIPLE_ORIGINALS, as_item(original("one"), "one"), as_item(original("two"), "two")
    ),
    "an original and an eml": skipped(
        SkipReason.MULTIPLE_ORIGINALS, as_item(original("one")), attach_as_file(original("two"))
    ),
    "a link": skipped(SkipReason.REFERENCE_ATTACHMENT, ReferenceAttachment("mail.eml", "https://files.invalid/1")),
    "cut in its headers": skipped(SkipReason.UNREADABLE_ORIGINAL, as_item(cut_in_headers(original("stump")))),
    "undecodable": skipped(SkipReason.UNREADABLE_ORIGINAL, attach_as_file(UNDECODABLE)),
    "empty file": skipped(SkipReason.UNREADABLE_ORIGINAL, attach_as_file(b"")),
    "empty item": skipped(SkipReason.UNREADABLE_ORIGINAL, as_item(b"")),
    "an msg": skipped(
        SkipReason.UNREADABLE_ORIGINAL, FileAttachment("mail.msg", "application/vnd.ms-outlook", OUTLOOK_MSG)
    ),
    "an msg called eml": skipped(SkipReason.UNREADABLE_ORIGINAL, attach_as_file(OUTLOOK_MSG)),
    "a page called eml": skipped(SkipReason.UNREADABLE_ORIGINAL, attach_as_file(PAGE)),
    "a contact": skipped(SkipReason.NOT_EMAIL, as_item(CONTACT, "Ben Okafor")),
    "a meeting": skipped(SkipReason.NOT_EMAIL, as_item(MEETING, "Lunch")),
    "31 days old": skipped(SkipReason.TOO_OLD, as_item(original("old")), age=timedelta(days=31)),
    "30 MB as a file": skipped(SkipReason.TOO_LARGE, attach_as_file(grow(original("album"), size_bytes=30_000_000))),
    "30 MB as an item": skipped(SkipReason.TOO_LARGE, as_item(grow(original("album"), size_bytes=30_000_000))),
    "just over the limit": skipped(SkipReason.TOO_LARGE, as_item(grow(original("heavy"), size_bytes=3_000_001))),
    "the limit itself": settled(as_item(grow(original("at-limit"), size_bytes=3_000_000))),
    "5,000 recipients": settled(as_item(address_to_many(original("crowd"), recipient=ANNA, count=5_000))),
    "hostile subject": settled(as_item(give_hostile_subject(original("hostile")), HOSTILE_SUBJECT)),
    "cut in its body": settled(attach_as_file(cut_in_body(original("half")))),
    "pictures and the original": settled(PIXEL, PIXEL, as_item(original("pictured"))),
    "nested forwards": settled(as_item(forwarded(5))),
    "an untyped file": settled(FileAttachment("mail", "application/octet-stream", original("untyped"))),
}


async def send_all(on: Stage) -> dict[str, str]:
    """Send every bad report with good ones before, between and after; returns the message ids by name."""
    sent = {"good before": report(on, original("before"))}
    for name, bad in BAD.items():
        sent[name] = report_with(on, *bad.attachments, subject=f"3|{name} {HOSTILE_SUBJECT}", age=bad.age)
    sent["good after"] = report(on, original("after"))
    return sent


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # Azure's client sends 3 MB in one piece
@pytest.mark.parametrize("where", ["memory", "azurite"])
async def test_each_bad_report_ends_as_the_contract_says_and_harms_no_other(
    where: str, request: pytest.FixtureRequest
) -> None:
    """One row for every report, in its state with its reason; the good ones of the same page are settled."""
    connection = request.getfixturevalue("storage_connection") if where == "azurite" else None
    async with stage(connection=connection) as on:
        sent = await send_all(on)
        outcomes = await on.finish(rows=len(sent))
        rows = await rows_by_report(on)
        found = {name: (rows[key].state, rows[key].state_reason) for name, key in sent.items()}
        wanted = {name: (bad.state, bad.reason) for name, bad in BAD.items()}
        assert found == {"good before": SETTLED, **wanted, "good after": SETTLED}
        assert len(outcomes) == len(sent)
        assert_feed_is_whole(outcomes, await on.feed())
        assert_text_is_plain([*await on.rows("outcomes"), *await on.feed()])
        assert {one.request.network_message_id for one in submissions(on)} == {
            row.network_message_id for row in outcomes if row.state is State.SETTLED
        }


def assert_text_is_plain(rows: list[dict[str, object]]) -> None:
    """No column holds a control character, a bidi mark or more than 1,000 characters."""
    for row in rows:
        for column, value in row.items():
            text = value if isinstance(value, str) else ""
            hidden = [
                char for char in text if unicodedata.category(char) in {"Cc", "Cs"} or "\u202a" <= char <= "\u202e"
            ]
            hidden += [char for char in text if "\u2066" <= char <= "\u2069"]
            assert not hidden, (column, hidden)
            assert len(text) <= 1_000, column


async def test_what_is_far_too_large_is_not_downloaded() -> None:
    """The size in the attachment list is enough to skip a 30 MB original."""
    async with stage() as on:
        report_with(on, as_item(grow(original("album"), size_bytes=30_000_000)))
        await on.finish(rows=1)
        assert not on.graph.log.select(path=r"\$value")


async def test_a_mail_just_over_the_limit_keeps_nothing() -> None:
    """Its true size shows only when it is fetched: it is skipped, and no evidence is written."""
    async with stage(MAX_SUBMISSION_BYTES="1000") as on:
        report_with(on, as_item(grow(original("heavy"), size_bytes=1_001)))
        (row,) = await on.finish(rows=1)
        assert (row.state_reason, on.ports.containers["evidence"].blobs) == ("too_large", {})  # type: ignore[attr-defined]


@pytest.mark.parametrize("age", [timedelta(days=30, minutes=-5), timedelta(days=30, minutes=5)])
async def test_thirty_days_are_the_limit_of_age(age: timedelta) -> None:
    """A report is submitted up to Microsoft's 30 days and not a minute longer."""
    async with stage() as on:
        report(on, original("old"), age=age)
        (row,) = await on.finish(rows=1)
        is_young = age < timedelta(days=30)
        assert (row.state, row.state_reason) == (SETTLED if is_young else (State.SKIPPED, "too_old"))


async def test_a_report_that_grows_old_while_it_waits_is_skipped() -> None:
    """Too old when its turn comes is too old: Microsoft would refuse it."""
    async with stage() as on:
        report(on, original("old"), age=timedelta(days=29, hours=23))
        await on.app.collect_reports.run()
        on.clock.advance(hours=2)
        (row,) = await on.finish(rows=1)
        assert (row.state, row.state_reason) == (State.SKIPPED, "too_old")


@pytest.mark.parametrize(
    "reporter", ["eve@partner.test", "eve@notcontoso.example", "eve@contoso.example.evil.test", ""]
)
async def test_only_reporters_of_the_tenant_are_believed(reporter: str) -> None:
    """A stranger cannot make the tenant submit mail, whatever the address looks like."""
    async with stage() as on:
        report(on, original("lure"), reporter=reporter)
        (row,) = await on.finish(rows=1)
        assert (row.state, row.state_reason) == (State.SKIPPED, "untrusted_reporter")


async def test_a_hostile_subject_is_kept_without_what_hides() -> None:
    """The readable part of a subject stays: operators search for it."""
    async with stage() as on:
        report(on, give_hostile_subject(original("hostile")))
        (row,) = await on.finish(rows=1)
        assert row.subject == "Invoice fdp.exe paid | due (now)"


async def test_a_deleted_report_is_kept_as_failed() -> None:
    """A report that is gone before it was read has a row all the same, and its neighbours are read."""
    async with stage() as on:
        gone, kept = report(on, original("gone")), report(on, original("kept"))
        where = Scope(path=f"{quote(gone, safe='')}/attachments")
        on.graph.control.add_fault(answer_status(404, where, code="ErrorItemNotFound"))
        await on.finish(rows=2)
        rows = await rows_by_report(on)
        assert (rows[gone].state, rows[gone].state_reason) == (State.FAILED, "report_unavailable")
        assert (rows[gone].error_code, rows[gone].reporter) == ("ErrorItemNotFound", ANNA)
        assert rows[kept].state is State.SETTLED


async def test_a_reporting_mailbox_is_nobodys_recipient() -> None:
    """Whatever a report's own text says: the reporter got the mail, the mailbox only his report."""
    told = f"Recipient: {REPORTING_MAILBOX.upper()}\nSender: desk@lure.test\nSubject: Your parcel\n"
    async with stage() as on:
        mail = write_report(
            "3|told", (), reporter=ANNA, received_at=on.clock.time, mailbox=REPORTING_MAILBOX, body=told
        )
        on.graph.tenant.deliver(REPORTING_MAILBOX, mail)
        (row,) = await on.finish(rows=1)
        assert (row.state_reason, row.sender, row.recipient) == ("no_original", "desk@lure.test", ANNA)
