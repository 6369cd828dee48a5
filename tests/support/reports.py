"""Originals, reports and requests for the flow tests, and what the app tells about them in its log."""

import hashlib
import json
import logging
import uuid
from collections.abc import Sequence
from datetime import timedelta
from email.utils import format_datetime

import pytest

from local.graph_simulator import ItemAttachment, Submission
from local.graph_simulator.mail_item import Attachment
from local.sample_tenant import PEOPLE, REPORTING_MAILBOX, wrap_as_report_button, write_report
from shared.domain.model import Category, Outcome
from tests.support.stage import START, Stage

_SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo", "nu", "pa", "re", "si", "to", "vu", "wa"]
ANNA, BEN, CARLA = PEOPLE[:3]
OPERATOR = "soc@contoso.example"
MALICIOUS = "threatsFound/goodReclassifiedAsBad"


def network_id(name: str) -> str:
    """The network message id of the original of that name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def original(
    name: str,
    *,
    recipient: str = ANNA,
    subject: str = "Your parcel",
    verdict: str = MALICIOUS,
    delay_s: int = 60,
    internet_id: str | None = None,
) -> bytes:
    """A mail as Exchange delivered it; the same name is the same mail."""
    lines = (
        "Received: from mx.parcel-lure.test (203.0.113.9) by contoso.example",
        "From: Parcel desk <desk@parcel-lure.test>",
        f"To: <{recipient}>",
        f"Subject: {subject}",
        f"Message-ID: {internet_id or f'<{name}@parcel-lure.test>'}",
        f"Date: {format_datetime(START - timedelta(hours=8))}",
        f"X-MS-Exchange-Organization-Network-Message-Id: {network_id(name)}",
        f"X-Sample-Verdict: {verdict}",
        f"X-Sample-Verdict-Delay-S: {delay_s}",
        "",
        wording(name),
        "",
    )
    return "\r\n".join(lines).encode()


def wording(name: str) -> str:
    """A text of that name's own: no two names are one campaign."""
    octets = hashlib.sha512(name.encode()).digest()
    words = ("".join(_SYLLABLES[octet >> shift & 15] for shift in (4, 0)) for octet in octets)
    return " ".join(f"{word}m" for word in words)


def report(
    on: Stage,
    content: bytes,
    *,
    reporter: str = ANNA,
    category: Category = Category.PHISHING,
    mailbox: str = REPORTING_MAILBOX,
    age: timedelta = timedelta(minutes=1),
) -> str:
    """Report an original with the built-in button; returns the report's message id."""
    mail = wrap_as_report_button(
        content, reporter=reporter, category=category, received_at=on.clock.time - age, mailbox=mailbox
    )
    return on.graph.tenant.deliver(mailbox, mail)


def report_with(
    on: Stage,
    *attachments: Attachment,
    subject: str = "3|look at this",
    reporter: str = ANNA,
    age: timedelta = timedelta(minutes=1),
) -> str:
    """Send a report with these attachments; returns its message id."""
    mail = write_report(
        subject, attachments, reporter=reporter, received_at=on.clock.time - age, mailbox=REPORTING_MAILBOX
    )
    return on.graph.tenant.deliver(REPORTING_MAILBOX, mail)


def as_item(content: bytes, name: str = "Your parcel") -> ItemAttachment:
    """The original as the built-in button attaches it."""
    return ItemAttachment(name, content)


def url_request(name: str, **fields: object) -> dict[str, object]:
    """A valid request about a URL of its own."""
    request = {
        "schemaVersion": 1,
        "kind": "url",
        "category": "phishing",
        "requestedBy": OPERATOR,
        "url": f"https://{name}.lure.test/",
    }
    return {**request, **fields}


def email_request(message: dict[str, object], **fields: object) -> dict[str, object]:
    """A valid request about a mail that Anna got."""
    request = {
        "schemaVersion": 1,
        "kind": "email",
        "category": "phishing",
        "requestedBy": OPERATOR,
        "recipient": ANNA,
        "message": message,
    }
    return {**request, **fields}


async def ask(on: Stage, *requests: dict[str, object] | str) -> None:
    """Put requests (or raw bodies) on the operators' queue."""
    for one in requests:
        body = one if isinstance(one, str) else json.dumps(one)
        await on.ports.queues["manual-submissions"].send(body)


async def rows_by_report(on: Stage) -> dict[str, Outcome]:
    """The rows of reports, by the report's message id."""
    return {one.report_message_id: one for one in await on.outcomes() if one.report_message_id is not None}


async def only_row(on: Stage) -> Outcome:
    """The one row there is."""
    (row,) = await on.outcomes()
    return row


async def pass_time(on: Stage, span: timedelta, step: timedelta = timedelta(minutes=1)) -> None:
    """Let the app work for that long, with every function running once a step."""
    end = on.clock.time + span
    while on.clock.time < end:
        await on.round()
        on.clock.time += step
    await on.round()


def submissions(on: Stage) -> Sequence[Submission]:
    """What Microsoft has, oldest first."""
    return sorted(on.graph.control.list_submissions(), key=lambda one: one.created_at)


def posts(on: Stage) -> int:
    """How many submissions were tried on the wire."""
    return len(on.graph.log.select(method="POST"))


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The names of the events so far, in order; the caller has set the level."""
    told = [record.getMessage() for record in caplog.records if record.name == "shared.telemetry"]
    return [line.removeprefix("event=").partition(" ")[0] for line in told]


def listen(caplog: pytest.LogCaptureFixture) -> None:
    """Keep every event, informational ones too."""
    caplog.set_level(logging.INFO, "shared.telemetry")
