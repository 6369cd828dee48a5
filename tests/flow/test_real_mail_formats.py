"""The real reported mails in every wrapping: whatever lies around an original, its facts are those of the bare one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.graph_simulator import FileAttachment, ItemAttachment, SimulatedTenant
from local.graph_simulator.mail_item import Attachment
from local.sample_tenant import DOMAINS, PEOPLE, TENANT_ID
from shared.domain.exchange import exchange_facts
from shared.domain.model import Category, Outcome, State
from shared.domain.originals import Opened, OriginalFacts, read_original
from shared.domain.reports import Attachment as Listed
from shared.domain.reports import OriginalChoice, choose_original, looks_like_mail
from shared.formats.mail_content import read_content
from shared.formats.mail_fingerprint import mail_fingerprint
from shared.formats.original import open_original
from tests.support.report_formats import CONVERTED, VERBATIM, tenant_of
from tests.support.reports import report_with, rows_by_report
from tests.support.stage import stage

COLLECTED_FOR = "pot.example"
"""The collectors wrote `phishing@pot` for every recipient; no tenant has a domain of one label, so it gets a second."""
TENANT = tenant_of(*DOMAINS, COLLECTED_FOR)
REPORTER = PEOPLE[0]
FILE_TYPES = {
    "bare": ("original.eml", "message/rfc822"),
    "msg": ("Original.msg", "application/vnd.ms-outlook"),
    "winmail_eml": ("winmail.dat", "application/ms-tnef"),
    "winmail_item": ("winmail.dat", "application/ms-tnef"),
    "clear_signed": ("smime.p7m", "multipart/signed"),
    "opaque_signed": ("smime.p7m", "application/pkcs7-mime"),
}
ON_STAGE = 20


@pytest.fixture(scope="module")
def originals(reported_mail: list[Path]) -> dict[str, bytes]:
    """Return the mails by name, their recipients in a domain that a tenant can have."""
    domain = COLLECTED_FOR.encode()
    return {path.stem: path.read_bytes().replace(b"phishing@pot", b"phishing@" + domain) for path in reported_mail}


def read_facts(mime: bytes) -> OriginalFacts:
    """The facts of a mail that has some."""
    facts = read_original(mime, tenant=TENANT, reporter=REPORTER)
    assert isinstance(facts, OriginalFacts)
    return facts


def unwrap(content: bytes) -> bytes:
    """The original that is found in what a report carries."""
    opened = open_original(content, TENANT)
    assert isinstance(opened, Opened), opened
    return opened.mime


@pytest.mark.parametrize("name", VERBATIM)
def test_a_mail_wrapped_in_mime_comes_out_octet_for_octet(originals: dict[str, bytes], name: str) -> None:
    """What is submitted is what was delivered, so its facts, Exchange's word and its content are too."""
    changed = [key for key, mime in originals.items() if unwrap(VERBATIM[name](mime)) != mime]
    assert changed == []


@pytest.mark.parametrize("name", CONVERTED)
def test_a_mail_kept_by_outlook_has_the_facts_of_the_bare_one(originals: dict[str, bytes], name: str) -> None:
    """Recipient, sender, address, ids, subject and time come out, and what Exchange wrote of the sender."""
    for key, mime in originals.items():
        bare, found = read_facts(mime), read_facts(unwrap(CONVERTED[name](mime)))
        assert found == bare, key
        assert exchange_facts(found.headers) == exchange_facts(bare.headers), key


@pytest.mark.parametrize("name", ["msg", "winmail_item"])
def test_a_mail_kept_by_outlook_shows_the_same(originals: dict[str, bytes], name: str) -> None:
    """Nine of ten say the same text and the same links, so that a campaign is one whatever button reported it."""
    same = [shows(unwrap(CONVERTED[name](mime))) == shows(mime) for mime in originals.values()]
    assert sum(same) >= 0.9 * len(same)


def shows(mime: bytes) -> tuple[str, frozenset[str]]:
    """What a reader sees."""
    content = read_content(mime)
    return content.text, frozenset(content.links)


def test_every_mail_has_a_fingerprint_in_every_wrapping(originals: dict[str, bytes]) -> None:
    """Mails with a sender and something to read can be told apart from others, however they came."""
    for mime in originals.values():
        bare = mail_fingerprint(Category.PHISHING, read_facts(mime), mime)
        wrapped = unwrap(CONVERTED["msg"](mime))
        assert (mail_fingerprint(Category.PHISHING, read_facts(wrapped), wrapped) is None) == (bare is None)


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("original.eml", "message/rfc822"),
        ("original.eml", "application/octet-stream"),
        ("original", "application/octet-stream"),
        ("Original.msg", "application/octet-stream"),
    ],
)
def test_the_original_is_found_among_a_reports_files(originals: dict[str, bytes], name: str, content_type: str) -> None:
    """By type, by name, or by looking into it: beside a logo the mail is the one that is chosen."""
    logo = Listed(id="logo", name="logo.png", content_type="image/png", size_bytes=9, is_inline=True, kind="file")
    mail = Listed(id="mail", name=name, content_type=content_type, size_bytes=9, is_inline=False, kind="file")
    expected = OriginalChoice(sniff_ids=("mail",)) if name == "original" else OriginalChoice(attachment_id="mail")
    assert choose_original([logo, mail]) == expected
    wrap = CONVERTED["msg"] if name.endswith("msg") else VERBATIM["bare"]
    assert [key for key, mime in originals.items() if not looks_like_mail(wrap(mime))] == []


async def test_mixed_formats_go_through_the_whole_app(originals: dict[str, bytes]) -> None:
    """Twenty mails, each wrapped in another way, are submitted and settled with the facts of the bare mail."""
    some = dict(list(originals.items())[:: len(originals) // ON_STAGE][:ON_STAGE])
    domains = (*DOMAINS, COLLECTED_FOR)
    tenant = SimulatedTenant(tenant_id=TENANT_ID, domains=domains)
    async with stage(tenant=tenant, TENANT_DOMAINS=",".join(domains)) as on:
        sent = {report_with(on, attachment): mime for attachment, mime in wrapped(some)}
        outcomes = await on.finish(rows=len(sent))
        assert {one.state for one in outcomes} == {State.SETTLED}
        rows = await rows_by_report(on)
        assert {key: told(rows[key]) for key in sent} == {key: expected(mime) for key, mime in sent.items()}


def wrapped(originals: dict[str, bytes]) -> Iterator[tuple[Attachment, bytes]]:
    """Each mail in the next wrapping, as an attachment of a report."""
    wraps: dict[str, Callable[[bytes], bytes]] = {**VERBATIM, **CONVERTED}
    kinds = ["item", *FILE_TYPES, "report_of_report", "report_in_msg"]
    for number, mime in enumerate(originals.values()):
        kind = kinds[number % len(kinds)]
        if kind in {"item", "report_of_report"}:
            yield ItemAttachment("Original", mime if kind == "item" else wraps[kind](mime)), mime
        else:
            yield FileAttachment(*FILE_TYPES.get(kind, FILE_TYPES["msg"]), wraps[kind](mime)), mime


def told(row: Outcome) -> tuple[object, ...]:
    """What a row says of the original."""
    return row.recipient, row.sender, row.sender_ip, row.internet_message_id, row.network_message_id


def expected(mime: bytes) -> tuple[object, ...]:
    """What the bare mail says."""
    facts = read_facts(mime)
    return facts.recipient, facts.sender, facts.sender_ip, facts.internet_message_id, facts.network_message_id
