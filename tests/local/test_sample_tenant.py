"""The sample tenant keeps its word: its mails are real in form, reach nobody, and say how they must end."""

import base64
import email.policy
import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.utils import getaddresses, parsedate_to_datetime
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest

from local.graph_simulator import (
    FileAttachment,
    GraphSimulator,
    ItemAttachment,
    MailItem,
    SimulatedTenant,
    SimulatorControl,
)
from local.graph_simulator.mailbox import StoredMessage
from local.graph_simulator.vocabulary import RESULT_CATEGORIES, RESULT_DETAILS
from local.sample_tenant import (
    DOMAINS,
    ORIGINALS,
    PEOPLE,
    REPORTING_MAILBOX,
    SHARED_MAILBOXES,
    SIMULATED_VERDICTS,
    TENANT_ID,
    Original,
    SampleManualMessage,
    SampleReport,
    populate,
    populate_remotely,
    read_facts,
    read_original,
    sample_manual_messages,
    sample_reports,
    wrap_as_report_button,
    wrap_as_third_party,
)
from local.sample_tenant.oddities import HOSTILE_SUBJECT
from shared.domain.model import Category, State, Verdict
from shared.domain.verdicts import judge

NOW = datetime(2027, 3, 2, 1, 30, tzinfo=UTC)
FILES = sorted(Path(str(resources.files("local.sample_tenant"))).glob("originals/*.eml"))
REPORTS = sample_reports(NOW)
SETTLED = [report for report in REPORTS if report.expected_state is State.SETTLED]

every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
every_original = pytest.mark.parametrize("original", ORIGINALS, ids=lambda original: original.name)

# --- What may stand in the files ------------------------------------------------------------------------------------

RESERVED_TLDS = frozenset({"example", "test", "invalid"})
RESERVED_NETWORKS = [
    ipaddress.ip_network(network)
    for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "::1/128")
]
# A dot does not make a host: these are properties of Authentication-Results, file names and what they end in.
NOT_HOSTS = frozenset({"header.from", "header.d", "smtp.mailfrom"})
FILE_SUFFIXES = frozenset({"eml", "exe", "gif", "htm", "html", "js", "pdf", "png", "xlsx", "zip"})
SCRIPT_OBJECTS = frozenset({"document.getelementbyid", "parts.join"})

DOTTED = re.compile(r"(?<![\w.-])(?:[a-z0-9_-]+\.)+[a-z]{2,}(?![\w@-])", re.IGNORECASE)
AFTER_AT = re.compile(r"@([\w.-]+\w)")
AFTER_SCHEME = re.compile(r"[a-z]+://([^/\s\"'<>:?]+)", re.IGNORECASE)
IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]\d|\w)")
IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,}[0-9a-f]{1,4}(?![\w:]|\.\d)", re.IGNORECASE)
CLOCK_TIME = re.compile(r"\d{1,2}:\d{2}:\d{2}")


def find_hosts(text: str) -> set[str]:
    """Everything that reads like a host name: after an @ or a scheme, or with a dot before letters."""
    dotted = {name for name in DOTTED.findall(text) if not is_no_host(name.lower())}
    named = {*AFTER_AT.findall(text), *AFTER_SCHEME.findall(text)}
    return {name.lower() for name in dotted | {one.rpartition("@")[2] for one in named}}


def is_no_host(name: str) -> bool:
    """Tell whether a dotted word is known to be something else."""
    return name in NOT_HOSTS or name in SCRIPT_OBJECTS or name.rpartition(".")[2] in FILE_SUFFIXES


def find_addresses(text: str) -> set[str]:
    """Everything that reads like an IP address."""
    return {found for found in (*IPV4.findall(text), *IPV6.findall(text)) if not CLOCK_TIME.fullmatch(found)}


def is_reserved(host: str) -> bool:
    """Tell whether a host name can never exist (RFC 2606, RFC 6761)."""
    return host.rpartition(".")[2] in RESERVED_TLDS


def is_documentation(address: str) -> bool:
    """Tell whether an IP address is set aside for documentation (RFC 5737, RFC 3849) or is loopback."""
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in RESERVED_NETWORKS)


def readable_texts(raw: bytes) -> Iterator[str]:
    """The headers as they stand, and every header and text part as a reader sees it."""
    yield re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[0].decode()
    yield from map(str, parse(raw).values())
    for part in parse(raw).walk():
        if part.get_content_maintype() == "text":
            yield unquote(part.get_content())


def parse(raw: bytes) -> EmailMessage:
    """Parse a mail the modern way: with decoded headers and a list of defects."""
    return BytesParser(_class=EmailMessage, policy=email.policy.default).parsebytes(raw)


def all_defects(message: Message) -> list[object]:
    """What the parser found wrong in any part."""
    return [defect for part in message.walk() for defect in part.defects]


def test_scanner_finds_what_is_not_reserved() -> None:
    """The scan of the next tests sees hosts and addresses in every place where mails carry them."""
    text = "by mx.real.com (8.8.8.8) for <a@real.org>; see https://real.net/x or real.io, [2a00:1450::5] at 10:11:12"
    assert {host for host in find_hosts(text) if not is_reserved(host)} == {
        "mx.real.com",
        "real.org",
        "real.net",
        "real.io",
    }
    assert find_addresses(text) == {"8.8.8.8", "2a00:1450::5"}
    assert not any(map(is_documentation, find_addresses(text)))


@every_file
def test_original_names_only_reserved_hosts(file: Path) -> None:
    """No host, mail address or link in a sample, encoded or not, can exist."""
    hosts = {host for text in readable_texts(file.read_bytes()) for host in find_hosts(text)}
    assert len(hosts) >= 3
    assert {host for host in hosts if not is_reserved(host)} == set()


@every_file
def test_original_names_only_documentation_addresses(file: Path) -> None:
    """No IP address in a sample, encoded or not, can be anybody's."""
    addresses = {found for text in readable_texts(file.read_bytes()) for found in find_addresses(text)}
    assert len(addresses) >= 2
    assert {address for address in addresses if not is_documentation(address)} == set()


# --- The originals --------------------------------------------------------------------------------------------------


def test_every_file_is_in_the_collection() -> None:
    """The files and the list of originals name the same mails, and enough of them."""
    assert [file.stem for file in FILES] == sorted(original.name for original in ORIGINALS)
    assert len(FILES) >= 24


@every_file
def test_original_parses(file: Path) -> None:
    """A sample is a well-formed mail of modest size."""
    raw = file.read_bytes()
    assert 2_000 < len(raw) < 20_000
    assert all_defects(parse(raw)) == []


@every_file
def test_original_has_what_exchange_adds(file: Path) -> None:
    """A sample carries the headers that Defender asks of a reported original, for this tenant."""
    mail = parse(file.read_bytes())
    network_message_id = UUID(str(mail["X-MS-Exchange-Organization-Network-Message-Id"]).strip())
    assert UUID(mail["X-MS-Exchange-CrossTenant-Network-Message-Id"]) == network_message_id
    assert mail["X-MS-Exchange-CrossTenant-Id"] == TENANT_ID
    assert re.fullmatch(r"\s*<[^<>\s]+>", mail["Message-ID"])
    assert mail["X-Microsoft-Antispam-Message-Info"]
    assert mail["Authentication-Results"]
    assert len(mail.get_all("Received", [])) >= 2


@every_file
def test_original_shows_one_sender_ip(file: Path) -> None:
    """A mail from outside names the connecting address in both headers that the app may read it from."""
    mail = parse(file.read_bytes())
    if mail["X-MS-Exchange-CrossTenant-AuthAs"] == "Internal":
        assert mail["X-Sender-IP"] is None
    else:
        assert f"CIP:{mail['X-Sender-IP']};" in mail["X-Forefront-Antispam-Report"]


@every_original
def test_original_says_its_verdict(original: Original) -> None:
    """The markers hold words that Graph knows, and the app's own table reads them as the expected verdict."""
    mail = parse(read_original(original.name, NOW))
    category, detail = mail["X-Sample-Verdict"].split("/")
    assert category in RESULT_CATEGORIES
    assert detail in RESULT_DETAILS
    assert 1 <= int(mail["X-Sample-Verdict-Delay-S"]) <= 8
    assert judge(Category.PHISHING, "succeeded", category, detail).verdict is original.verdict


def test_originals_cover_every_verdict() -> None:
    """Whatever Microsoft can decide, one of the samples shows it."""
    assert {original.verdict for original in ORIGINALS} == set(Verdict)


@every_original
def test_original_reached_its_recipient(original: Original) -> None:
    """The recipient lives in the tenant and is addressed, unless the mail went to undisclosed recipients."""
    mail = parse(read_original(original.name, NOW))
    addressed = [address for _, address in getaddresses([mail["To"]]) if "@" in address]
    assert original.recipient in {*PEOPLE, *SHARED_MAILBOXES}
    assert addressed == [original.recipient] or mail["To"] == "undisclosed-recipients:;"


def test_originals_have_ids_of_their_own() -> None:
    """No two samples are the same item to Microsoft or to a mailbox."""
    facts = [read_facts(file.read_bytes()) for file in FILES]
    assert len({fact.network_message_id for fact in facts}) == len(FILES)
    assert len({fact.internet_message_id for fact in facts}) == len(FILES)


def test_originals_speak_many_languages() -> None:
    """The samples come in several charsets, encodings, body shapes and line ends."""
    parts = [part for file in FILES for part in parse(file.read_bytes()).walk()]
    assert {part.get_content_charset() for part in parts} >= {"utf-8", "iso-8859-1", "iso-2022-jp", "gb18030", "koi8-r"}
    assert {part["Content-Transfer-Encoding"] for part in parts} >= {"base64", "quoted-printable", "7bit", "8bit"}
    assert {part.get_content_type() for part in parts} >= {"text/calendar", "application/zip", "multipart/related"}
    assert {b"\r\n" in file.read_bytes() for file in FILES} == {True, False}


@every_original
def test_original_arrived_the_day_before_the_first_report(original: Original) -> None:
    """Every date in the headers moves with `now`, and nothing else does."""
    file = next(file for file in FILES if file.stem == original.name)
    first_report, raw = NOW - timedelta(hours=3), read_original(original.name, NOW)
    mail = parse(raw)
    stamps = [mail["Date"], *(received.rpartition(";")[2] for received in mail.get_all("Received", []))]
    arrivals = {parsedate_to_datetime(stamp).astimezone(UTC).date() for stamp in stamps}
    assert arrivals == {(first_report - timedelta(days=1)).date()}
    assert b"16 Nov 2026" not in raw.partition(b"MIME-Version")[0]
    assert len(raw) == file.stat().st_size


# --- Wrapping -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("category", "number"), [(Category.SPAM, 1), (Category.NOT_JUNK, 2), (Category.PHISHING, 3)])
def test_report_button_writes_what_it_knows(category: Category, number: int) -> None:
    """The built-in button's subject holds choice, network message id, address, sender and subject of the original."""
    original = read_original("voicemail-html-attachment", NOW)
    mail = wrap_as_report_button(
        original, reporter="ben.okafor@contoso.example", category=category, received_at=NOW, mailbox=REPORTING_MAILBOX
    )
    network_message_id = parse(original)["X-MS-Exchange-CrossTenant-Network-Message-Id"]
    assert mail.subject == (
        f"{number}|{network_message_id}|192.0.2.188|voicemail@lumenvoice-pbx.test"
        "|(☎ New voice message (0:41) from +44 20 7946 0018)"
    )
    assert mail.attachments == (ItemAttachment("☎ New voice message (0:41) from +44 20 7946 0018", original),)
    assert (mail.from_address, mail.to_addresses) == ("ben.okafor@contoso.example", (REPORTING_MAILBOX,))


@pytest.mark.parametrize(
    ("category", "worded", "prefix"),
    [
        (Category.SPAM, False, "1|"),
        (Category.NOT_JUNK, False, "2|"),
        (Category.PHISHING, False, "3|"),
        (Category.SPAM, True, "Junk: "),
        (Category.NOT_JUNK, True, "Not junk: "),
        (Category.PHISHING, True, "Phishing: "),
    ],
)
def test_third_party_button_writes_a_prefix(category: Category, prefix: str, *, worded: bool) -> None:
    """Another maker's button attaches the unmodified `.eml` and says the choice in front of the subject."""
    original = read_original("password-reset-genuine", NOW)
    mail = wrap_as_third_party(
        original,
        reporter="grace.lin@fabrikam.example",
        category=category,
        received_at=NOW,
        mailbox=REPORTING_MAILBOX,
        worded=worded,
    )
    assert mail.subject == prefix + "Reset your Ferrylane password"
    assert mail.attachments == (FileAttachment("original.eml", "message/rfc822", original),)


def test_no_button_claims_malware() -> None:
    """Malware is a claim for operators; no wrapper can make it."""
    original = read_original("fattura-zip-malware", NOW)
    for wrap in (wrap_as_report_button, wrap_as_third_party):
        with pytest.raises(KeyError):
            wrap(
                original,
                reporter=PEOPLE[0],
                category=Category.MALWARE,
                received_at=NOW,
                mailbox=REPORTING_MAILBOX,
            )


@pytest.mark.parametrize(
    "original",
    [
        b"",
        b"\xff\xfe\x00",
        b"Subject: =?x-none?B?!!?=\n\n",
        b"Subject: \xe4\x00\n ok\nFrom: <<>@\n\n",
        b"Subject: " + b"x" * 300 + b"\n\n",
    ],
)
def test_any_bytes_can_be_wrapped(original: bytes) -> None:
    """Wrapping never fails and never changes what it wraps, however broken that is."""
    mail = wrap_as_report_button(
        original, reporter=PEOPLE[0], category=Category.PHISHING, received_at=NOW, mailbox=REPORTING_MAILBOX
    )
    assert mail.subject.startswith("3|||")
    assert len(mail.subject) <= 255
    assert isinstance(mail.attachments[0], ItemAttachment)
    assert mail.attachments[0].mime == original


def test_real_mails_can_be_wrapped(reported_mail: list[Path]) -> None:
    """The network message id of a real mail stands in the subject that the button would write."""
    found = 0
    for file in reported_mail:
        raw = file.read_bytes()
        mail = wrap_as_report_button(
            raw, reporter=PEOPLE[0], category=Category.PHISHING, received_at=NOW, mailbox=REPORTING_MAILBOX
        )
        stamped = re.search(rb"(?im)^X-MS-Exchange-Organization-Network-Message-Id:\s*([0-9a-f-]{36})", raw)
        if stamped is not None:
            assert mail.subject.split("|")[1] == stamped[1].decode()
            found += 1
    assert found > len(reported_mail) / 2


# --- The reports ----------------------------------------------------------------------------------------------------


def find_report(name: str) -> SampleReport:
    """The report of that name."""
    return next(report for report in REPORTS if report.name == name)


def read_attached(report: SampleReport) -> bytes:
    """The original that a good report carries."""
    (attached,) = (one for one in report.mail.attachments if not getattr(one, "is_inline", False))
    assert isinstance(attached, ItemAttachment | FileAttachment)
    return attached.mime if isinstance(attached, ItemAttachment) else attached.content


def test_report_names_are_unique() -> None:
    """A row can be matched to its report, and there are about forty of them."""
    assert len({report.name for report in REPORTS}) == len(REPORTS)
    assert len({report.mail.internet_message_id for report in REPORTS}) == len(REPORTS)
    assert 40 <= len(REPORTS) <= 50


def test_same_now_gives_same_reports() -> None:
    """Nothing in the samples is left to chance or to the clock."""
    assert sample_reports(NOW) == REPORTS


def test_reports_cover_every_form() -> None:
    """Both kinds of button, both kinds of prefix and all three choices occur among the good reports."""
    forms = {
        (type(report.mail.attachments[0]), prefix)
        for report in SETTLED
        for prefix in ("1|", "2|", "3|", "Junk: ", "Not junk: ", "Phishing: ")
        if report.mail.subject.startswith(prefix)
    }
    assert len(forms) == 12


def test_reports_cover_every_reason_of_a_mail() -> None:
    """Every reason to skip that a mail alone can give occurs."""
    assert {report.expected_reason for report in REPORTS} - {None} == {
        "no_original",
        "multiple_originals",
        "reference_attachment",
        "too_old",
        "too_large",
        "untrusted_reporter",
        "unreadable_original",
    }


def test_reports_are_as_old_as_they_should_be() -> None:
    """All reports arrive over the last three hours but the one that is too old, and never before their original."""
    for report in REPORTS:
        age = NOW - report.mail.received_at
        assert (age > timedelta(days=30)) == (report.expected_reason == "too_old")
        assert timedelta(0) < age <= timedelta(hours=3) or age > timedelta(days=30)
        assert report.mail.received_at.tzinfo is UTC


@pytest.mark.parametrize("report", SETTLED, ids=lambda report: report.name)
def test_good_report_is_complete(report: SampleReport) -> None:
    """A report that settles says claim, recipient, network message id and verdict, and they fit its original."""
    original = read_attached(report)
    category, detail = dict(read_facts(original).headers)["X-Sample-Verdict"].split("/")
    assert report.expected_category is not None
    assert report.expected_recipient in {*PEOPLE, *SHARED_MAILBOXES}
    assert (report.expected_network_message_id or "").encode() in original
    assert judge(report.expected_category, "succeeded", category, detail).verdict is report.expected_verdict


def test_no_item_is_claimed_to_be_two_things() -> None:
    """Only one item is reported twice, with one claim: another claim would wait for Microsoft's 15 minutes."""
    claims = [
        (report.expected_network_message_id, report.expected_recipient, report.expected_category) for report in SETTLED
    ]
    assert len(set(claims)) == len(claims) - 1
    assert len({claim[:2] for claim in claims}) == len(set(claims))


def test_campaign_reaches_several_people() -> None:
    """The copies of one lure have one Message-ID and a network message id each."""
    facts = [read_facts(read_attached(report)) for report in SETTLED if report.name.startswith("meeting-recap")]
    assert len(facts) == 4
    assert len({fact.internet_message_id for fact in facts}) == 1
    assert len({fact.network_message_id for fact in facts}) == 4


def test_odd_reports_are_as_odd_as_they_say() -> None:
    """The reports with many recipients, a hostile subject, 30 MB and a cut body are what their names promise."""
    many = parse(read_attached(find_report("five-thousand-recipients")))
    assert len(getaddresses([many["To"]])) == 5_000
    assert {"\x00", "\u202e", "|"} <= set(HOSTILE_SUBJECT)
    assert HOSTILE_SUBJECT in find_report("nul-and-bidi-in-subject").mail.subject
    assert len(read_attached(find_report("thirty-megabytes"))) == 30_000_000
    assert all_defects(parse(read_attached(find_report("cut-in-its-body")))) != []
    assert len(find_report("two-originals").mail.attachments) == 2


def test_reporters_are_told_apart_by_exchange() -> None:
    """Only the reports of untrusted reporters come from outside, and Exchange says so."""
    outside = {report.name for report in REPORTS if report.mail.from_address.rpartition("@")[2] not in DOMAINS}
    assert outside == {report.name for report in REPORTS if report.expected_reason == "untrusted_reporter"}
    for report in REPORTS:
        stamped = report.mail.read_header("X-MS-Exchange-Organization-AuthAs")
        assert stamped == ("Anonymous" if report.name in outside else "Internal")


def test_wrappers_name_only_reserved_hosts() -> None:
    """The report mails themselves reach nobody either."""
    shown = [repr(replace(report.mail, attachments=())) for report in REPORTS]
    links = [attached.url for report in REPORTS for attached in report.mail.attachments if hasattr(attached, "url")]
    hosts = {host for text in (*shown, *links) for host in find_hosts(re.sub(r"datetime\.\w+", "", text))}
    assert {host for host in hosts if not is_reserved(host)} == set()


# --- The tenant and its operators -----------------------------------------------------------------------------------


@pytest.fixture
def tenant() -> SimulatedTenant:
    """A tenant without mailboxes."""
    return SimulatedTenant(TENANT_ID, DOMAINS)


def read_items(tenant: SimulatedTenant, address: str) -> list[MailItem]:
    """The mails of one mailbox, oldest delivery first."""
    mailbox = tenant.find_mailbox(address)
    assert mailbox is not None
    return [message.item for message in mailbox.messages]


def read_request(message: SampleManualMessage) -> dict[str, Any]:
    """The JSON of a queue message, plain or base64; empty if it is neither."""
    plain = message.body if message.body.startswith("{") else base64.b64decode(message.body).decode()
    try:
        return dict(json.loads(plain))
    except ValueError:
        return {}


def read_named(message: SampleManualMessage) -> dict[str, str]:
    """What a queue message says of the mail or file that it refers to; empty for a URL."""
    request = read_request(message)
    return dict(request.get("message") or request.get("file") or {})


def find_in_mailbox(tenant: SimulatedTenant, named: dict[str, str]) -> StoredMessage:
    """The one message of the mailbox that has the named id, of either kind."""
    mailbox = tenant.find_mailbox(named["mailbox"])
    assert mailbox is not None
    (found,) = (
        stored
        for stored in mailbox.messages
        if named.get("messageId", stored.immutable_id) == stored.immutable_id
        and named.get("internetMessageId", stored.item.internet_message_id) == stored.item.internet_message_id
    )
    return found


@pytest.mark.parametrize(("with_reports", "count"), [(True, len(REPORTS)), (False, 0)])
def test_populate_delivers_once(tenant: SimulatedTenant, count: int, *, with_reports: bool) -> None:
    """Everybody has their mail, and the reporting mailbox has the reports if they are wanted."""
    message_ids = populate(tenant, NOW, with_reports=with_reports)
    reporting_mailbox = tenant.find_mailbox(REPORTING_MAILBOX)
    assert reporting_mailbox is not None
    assert len(reporting_mailbox.messages) == count
    for original in ORIGINALS:
        mailbox = tenant.find_mailbox(original.recipient)
        assert mailbox is not None
        message = mailbox.find_message(message_ids[original.name])
        assert message is not None
        assert message.item.mime == read_original(original.name, NOW)
        assert message.item.received_at < NOW - timedelta(hours=3)


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")  # aiohttp, of the 30 MB report
async def test_populating_from_outside_is_the_same() -> None:
    """A simulator reached over HTTP ends with the same mails under the same ids, and knows the verdicts."""
    tenant, twin = SimulatedTenant(TENANT_ID, DOMAINS), SimulatedTenant(TENANT_ID, DOMAINS)
    async with GraphSimulator(twin) as simulator, SimulatorControl(simulator.base_url) as control:
        message_ids = await populate_remotely(control, NOW)
        assert simulator.control.simulation.desk.verdicts.table == SIMULATED_VERDICTS
    assert message_ids == populate(tenant, NOW)
    for address in (*PEOPLE, *SHARED_MAILBOXES, REPORTING_MAILBOX):
        assert read_items(twin, address) == read_items(tenant, address) != []


def test_manual_messages_are_fit_for_the_queue(tenant: SimulatedTenant) -> None:
    """Messages have unique names, are within the contract's 48 KiB and hold no control character."""
    messages = sample_manual_messages(NOW, populate(tenant, NOW))
    assert len({message.name for message in messages}) == len(messages)
    for message in messages:
        assert len(message.body.encode()) <= 48 * 1024
        assert message.body.isprintable()


def test_manual_messages_come_with_what_they_name(tenant: SimulatedTenant) -> None:
    """Every blob and mail that a good message names is there; the absent blob is not."""
    messages = sample_manual_messages(NOW, populate(tenant, NOW))
    blobs = {name for message in messages for name in message.blobs}
    named = [read_named(message) for message in messages if message.expected_state is State.SETTLED]
    assert blobs == {one["content"] for one in named if "content" in one}
    assert "never/uploaded.eml" not in blobs
    mails = [one for one in named if "mailbox" in one]
    assert [sorted(one) for one in mails] == [["internetMessageId", "mailbox"], ["mailbox", "messageId"]]
    assert all(find_in_mailbox(tenant, one) for one in mails)


def test_manual_messages_follow_only_earlier_ones(tenant: SimulatedTenant) -> None:
    """Who sends the messages in order can wait for the one that another follows."""
    names: list[str | None] = [None]
    for message in sample_manual_messages(NOW, populate(tenant, NOW)):
        assert message.follows in names
        names.append(message.name)


def test_manual_messages_do_not_repeat_a_report(tenant: SimulatedTenant) -> None:
    """Operators ask about mails that nobody reported, so that no item waits for Microsoft's 15 minutes."""
    messages = sample_manual_messages(NOW, populate(tenant, NOW, with_reports=False))
    contents = [content for message in messages for name, content in message.blobs.items() if name.endswith(".eml")]
    named = [one for message in messages if "mailbox" in (one := read_named(message))]
    asked = {read_facts(content).network_message_id for content in contents}
    asked |= {read_facts(find_in_mailbox(tenant, one).item.mime).network_message_id for one in named}
    assert len(asked) == 3
    assert not asked & {report.expected_network_message_id for report in SETTLED}


def test_only_a_repeated_request_makes_no_row(tenant: SimulatedTenant) -> None:
    """Every other message ends in a row, and the one with a used request id and other content says why."""
    messages = {message.name: message for message in sample_manual_messages(NOW, populate(tenant, NOW))}
    assert [name for name, message in messages.items() if message.expected_state is None] == ["request-id-again"]
    assert messages["request-id"].body == messages["request-id-again"].body
    assert messages["request-id-with-other-content"].expected_reason == "request_id_conflict"


def test_simulated_verdicts_are_the_expected_ones(tenant: SimulatedTenant) -> None:
    """What the simulator is told to say of a URL or a file is read by the app as the message expects."""
    judged = set()
    for message in sample_manual_messages(NOW, populate(tenant, NOW)):
        request = read_request(message)
        item = request.get("url") or request.get("file", {}).get("name")
        if message.expected_state is State.SETTLED and item is not None:
            told = SIMULATED_VERDICTS[item]
            verdict = judge(Category(request["category"]), told.status, told.category, told.detail).verdict
            assert verdict is message.expected_verdict
            judged.add(item)
    assert judged == SIMULATED_VERDICTS.keys()
