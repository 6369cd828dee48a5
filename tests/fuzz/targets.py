"""What is fuzzed: each target reads any octets through functions that promise an answer for all of them."""

import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from local.sample_tenant import DOMAINS, PEOPLE
from shared.domain.exchange import exchange_facts
from shared.domain.fingerprinting import fingerprint
from shared.domain.headers import MAX_HEADER_BYTES, headers_of, read_headers
from shared.domain.originals import Opened, OriginalFacts, read_original
from shared.domain.reports import (
    Attachment,
    choose_original,
    disagreements,
    is_other_item,
    looks_like_mail,
    read_subject,
    tells_of_teams,
)
from shared.domain.simulations import mark_headers, read_own_marks, simulation_of
from shared.domain.trust import distrust
from shared.formats.mail_content import read_content
from shared.formats.original import open_original
from shared.formats.outlook_message import OutlookMessage, UnreadableOutlook
from shared.formats.outlook_mime import MAX_RTF_BYTES, write_mime
from shared.formats.outlook_msg import read_outlook_msg
from shared.formats.rtf import decompress_rtf, html_of_rtf, text_of_rtf
from shared.formats.signed import content_of_signed, is_cms, is_enveloped
from shared.formats.told_reports import told_facts
from shared.formats.winmail import read_winmail
from tests.support.report_formats import tenant_of

TENANT = tenant_of(*DOMAINS)
REPORTER = PEOPLE[0]
OWN_MARKS = read_own_marks("X-Exercise=b3b1f0c9d6a24e7f,@exercise.test,198.51.100.0/24")
ALSO = mark_headers(OWN_MARKS)
MOST_LINES = 2_000
MOST_SUBJECT = 255
"""Exchange keeps no longer one."""
KINDS: Sequence[Literal["item", "file", "reference"]] = ("item", "file", "reference")


def read_mail(content: bytes) -> None:
    """All that is read of an original that lies open: facts, content, what its campaign is known by."""
    headers = read_headers(content, ALSO)
    simulation_of(headers, exchange_facts(headers), OWN_MARKS)
    distrust(headers, headers.only("from"), TENANT)
    facts = read_original(content, tenant=TENANT, reporter=REPORTER, also=ALSO)
    found = read_content(content)
    if isinstance(facts, OriginalFacts):
        fingerprint(
            claim="phishing",
            sender=facts.sender,
            authentication="none",
            subject=facts.subject,
            text=found.text,
            links=found.links,
            attachments=found.attachments,
            internet_message_id=facts.internet_message_id,
            network_message_id=facts.network_message_id,
            recipient=facts.recipient,
        )


def open_report(content: bytes) -> None:
    """What is done with a report's attachment, and with the original that is found in it."""
    looks_like_mail(content)
    is_other_item(content)
    opened = open_original(content, TENANT)
    if isinstance(opened, Opened):
        read_original(opened.mime, tenant=TENANT, reporter=REPORTER, also=ALSO)


def read_msg(content: bytes) -> None:
    """An Outlook file, and the mail that is written of it."""
    _rewrite(read_outlook_msg, content)


def read_tnef(content: bytes) -> None:
    """A winmail.dat, and the mail that is written of it."""
    _rewrite(read_winmail, content)


def _rewrite(read: Callable[[bytes], OutlookMessage], content: bytes) -> None:
    try:
        message = read(content)
    except UnreadableOutlook:
        return
    write_mime(message)


def read_rtf(content: bytes) -> None:
    """A compressed RTF body, or one that is not compressed; no more of it than a mail's writer asks for."""
    rtf = content[:MAX_RTF_BYTES] if content.startswith(b"{") else decompress_rtf(content, MAX_RTF_BYTES)
    html_of_rtf(rtf)
    text_of_rtf(rtf)


def read_cms(content: bytes) -> None:
    """A signed or encrypted body."""
    is_cms(content)
    is_enveloped(content)
    content_of_signed(content)


def read_report_text(content: bytes) -> None:
    """The text of a report without an original."""
    text = content.decode("utf-8", "replace")
    told_facts(text)
    tells_of_teams(text[:MOST_SUBJECT], text)


def read_report_subject(content: bytes) -> None:
    """The subject of a report, and how it agrees with the headers of the same text."""
    text = content.decode("utf-8", "surrogateescape")
    subject = read_subject(text)
    facts = read_original(content, tenant=TENANT, reporter=REPORTER)
    if isinstance(facts, OriginalFacts):
        disagreements(subject, facts)


def read_report_headers(content: bytes) -> None:
    """The headers that Graph tells of a report, one on each line."""
    pairs = (line.partition(":") for line in _lines(content))
    headers = headers_of(((name, value) for name, _, value in pairs), ALSO)
    distrust(headers, REPORTER, TENANT)
    simulation_of(headers, exchange_facts(headers), OWN_MARKS)


def choose_attachment(content: bytes) -> None:
    """The attachments that Graph lists, one on each line: a digit for kind and inline, name and type around a tab."""
    choose_original([_attachment(number, line) for number, line in enumerate(_lines(content))])


def _lines(content: bytes) -> Iterator[str]:
    """As many as Graph may tell of one mail; the rest would only show what splitting a text into lines costs."""
    told = content[: 2 * MAX_HEADER_BYTES].decode("utf-8", "surrogateescape")
    return itertools.islice(io.StringIO(told, newline="\n"), MOST_LINES)


def _attachment(number: int, line: str) -> Attachment:
    name, tab, content_type = line[1:].partition("\t")
    told = ord(line[0]) if line else 0
    return Attachment(
        id=str(number),
        name=name,
        content_type=content_type if tab else None,
        size_bytes=number,
        is_inline=bool(told & 4),
        kind=KINDS[told % 3],
    )


Target = Callable[[bytes], None]

TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "mail": read_mail,
        "report": open_report,
        "msg": read_msg,
        "winmail": read_tnef,
        "rtf": read_rtf,
        "cms": read_cms,
        "text": read_report_text,
        "subject": read_report_subject,
        "headers": read_report_headers,
        "attachments": choose_attachment,
    }
)
