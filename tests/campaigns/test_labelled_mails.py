"""The labelled mails hold what is promised of them; a rule about campaigns is only as good as what it is tried on."""

import re
from collections import Counter
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import chain
from urllib.parse import unquote

import pytest

from tests.campaigns.copies import TRICKS
from tests.campaigns.labelled_mails import LabelledMail, labelled_mails
from tests.campaigns.templates import read_campaigns

HOST = re.compile(r"(?:@|//|header\.\w=|header\.from=|smtp\.mailfrom=|\b(?:from|by|H:) ?)([\w-]+(?:\.[\w-]+)+)")
PUBLIC_NAME = re.compile(r"[\w-]+\.(?:com|net|org|info|biz|io|app|dev|eu|de|fr|es|pt|br|nl|it|jp|cn|uk|us|ru)\b")
RESERVED = (".example", ".test")
EXCHANGE_ONLINE = (".prod.protection.outlook.com", ".mail.protection.outlook.com", ".prod.outlook.com")
SAFE_LINKS = "eur01.safelinks.protection.outlook.com"
NETWORK_MESSAGE_ID = "X-MS-Exchange-Organization-Network-Message-Id"
MAILS = labelled_mails()


def copies() -> list[LabelledMail]:
    """Return the mails that belong to a campaign."""
    return [mail for mail in MAILS if mail.campaign is not None]


def singles() -> list[LabelledMail]:
    """Return the mails that belong to none."""
    return [mail for mail in MAILS if mail.campaign is None]


def parse(mail: LabelledMail) -> EmailMessage:
    """Return the mail as the standard library reads it."""
    return message_from_bytes(mail.mime, policy=policy.default)


def bodies(message: EmailMessage) -> Iterator[str]:
    """Yield the text of each text part."""
    for part in message.walk():
        if part.get_content_maintype() == "text":
            yield part.get_content()


def readable(mail: LabelledMail) -> str:
    """Return everything of a mail in which a host name could stand, decoded."""
    message = parse(mail)
    headers = (f"{name}: {value}" for name, value in message.items())
    return unquote("\n".join(chain(headers, bodies(message))))


def test_there_are_enough_campaigns_of_three_to_eight_copies() -> None:
    """At least 75 copies of at least 15 campaigns, each with three to eight."""
    sizes = Counter(mail.campaign for mail in copies())
    assert len(copies()) >= 75
    assert len(sizes) >= 15
    assert all(3 <= size <= 8 for size in sizes.values()), sizes


def test_there_are_enough_singles_and_hard_ones() -> None:
    """At least 150 singles, of which at least 60 resemble another mail."""
    hard = [mail for mail in singles() if mail.what_differs]
    assert len(singles()) >= 150
    assert len(hard) >= 60


def test_names_are_unique() -> None:
    """A name stands for one mail."""
    names = Counter(mail.name for mail in MAILS)
    assert not [name for name, times in names.items() if times > 1]


def test_the_set_is_the_same_every_time() -> None:
    """Nothing in a mail is drawn from a clock or from chance that is not seeded."""
    assert labelled_mails() == MAILS


def test_hard_singles_name_what_they_resemble() -> None:
    """A reader of a false merge can see at once why it is false."""
    names = {mail.name for mail in singles()} | {mail.campaign for mail in copies()}
    unexplained = [
        mail.name
        for mail in singles()
        if mail.what_differs and not _names_in(mail.what_differs) & (names - {mail.name})
    ]
    assert not unexplained


def _names_in(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)+|crypto|invoice|voicemail|sextortion", text))


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail.name)
def test_a_mail_reads_without_a_defect(mail: LabelledMail) -> None:
    """Every part parses, decodes in the charset that it names, and comes out as it was written."""
    message = parse(mail)
    assert not [defect for part in message.walk() for defect in part.defects]
    assert not [text for text in bodies(message) if "\ufffd" in text]


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail.name)
def test_a_mail_was_delivered_by_exchange_online(mail: LabelledMail) -> None:
    """What Exchange writes is there once, and says that the sender is outside the tenant."""
    message = parse(mail)
    for name in ("From", "To", "Subject", "Date", "Message-ID", "Authentication-Results", NETWORK_MESSAGE_ID):
        assert len(message.get_all(name, [])) == 1, name
    assert len(message.get_all("Received", [])) == 2
    assert message["X-MS-Exchange-Organization-AuthAs"] == "Anonymous"
    assert [address for address in message["From"].addresses if address.domain.endswith(RESERVED)]
    assert re.search(r"spf=\w+ .*dkim=\w+ .*dmarc=\w+ .*compauth=\w+", str(message["Authentication-Results"]))


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail.name)
def test_no_placeholder_is_left(mail: LabelledMail) -> None:
    """A braced word in a subject or a body would be the same in all copies and unlike any real mail."""
    message = parse(mail)
    shown = " ".join([str(message["From"]), str(message["Subject"]), *bodies(message)])
    assert not re.search(r"\{(name|first|address|local|date|time|digits|hex|upper|number)\b", shown)


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail.name)
def test_only_reserved_domains_occur(mail: LabelledMail) -> None:
    """No mail points at anybody's host: all names are reserved ones, but for Exchange Online's own."""
    text = readable(mail)
    strangers = [host for host in HOST.findall(text) if not _is_reserved(host)]
    assert not strangers
    assert not [name for name in PUBLIC_NAME.findall(text.lower()) if not name.endswith("outlook.com")]


def _is_reserved(host: str) -> bool:
    lowered = host.lower().rstrip(".")
    return lowered.endswith(RESERVED + EXCHANGE_ONLINE) or lowered == SAFE_LINKS or bool(re.fullmatch(r"[\d.]+", host))


def test_every_trick_is_played() -> None:
    """Each way in which copies of a campaign differ occurs at least once among the copies."""
    played = {word for campaign in read_campaigns() for line in campaign.copies for word in line.split()}
    assert set(TRICKS) - played <= {"banner"}
    assert any(word.startswith("charset:") for word in played)


def test_copies_of_a_campaign_differ_in_bytes() -> None:
    """No copy is the very bytes of another, not even of one message that went to several people."""
    assert len({mail.mime for mail in MAILS}) == len(MAILS)


def test_ids_are_shared_only_inside_a_campaign() -> None:
    """A network message id joins copies only; a Message-ID as well, but for singles that claim one they do not own."""
    owners: dict[str, set[str]] = {}
    for mail in MAILS:
        message = parse(mail)
        for name in (NETWORK_MESSAGE_ID, "Message-ID"):
            owners.setdefault(str(message[name]), set()).add(mail.campaign or mail.name)
    shared = {owner for together in owners.values() if len(together) > 1 for owner in together}
    assert {name for name in shared if name.startswith("forged-")} == {
        "forged-message-id-of-parcel-fee",
        "forged-message-id-of-statement",
    }
    assert sum(len(together) > 1 for together in owners.values()) == 2


def test_some_copies_are_one_message_to_several_people() -> None:
    """The easiest case is in the set too: equal ids and equal text in several mailboxes."""
    ids = Counter(str(parse(mail)[NETWORK_MESSAGE_ID]) for mail in copies())
    assert sum(times > 1 for times in ids.values()) >= 2
