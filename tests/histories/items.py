"""What is reported and asked for, and Microsoft's word on each: a verdict on the wrong row shows by its words.

An item is what Microsoft counts: a mail is network message id and recipient, a URL or a file itself. Every item of a
history has result words that no other has.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from email.utils import format_datetime
from functools import cached_property

from local.sample_tenant import DOMAINS
from tests.histories.virtual_time import BEGIN

PEOPLE = tuple(f"employee{number}@{DOMAINS[0]}" for number in range(6))
OPERATORS = (f"soc1@{DOMAINS[0]}", f"soc2@{DOMAINS[0]}")

WORDS = (
    ("threatsFound", "goodReclassifiedAsBad"),
    ("noThreatsFound", "goodReclassifiedAsGood"),
    ("spam", "itemFoundSpam"),
    ("threatsFound", "badReclassifiedAsBad"),
    ("noThreatsFound", "badReclassifiedAsGood"),
    ("bulk", "itemFoundBulk"),
    ("threatsFound", "itemFoundMalicious"),
    ("noThreatsFound", "itemFoundClean"),
    ("bulk", "goodReclassifiedAsBulk"),
    ("threatsFound", "urlFileShouldBeBlocked"),
    ("noThreatsFound", "urlFileShouldNotBeBlocked"),
    ("spoofedBlocked", "endUserBeingSpoofed"),
    ("brandImpersonation", "associatedWithBrand"),
    ("domainImpersonation", "domainResembledYourOrganization"),
)
"""Result category and detail, each pair final and told apart from the others by its detail."""

CAMPAIGN = (
    "Your parcel is held at customs. Pay the fee of 1.99 within two days, or it goes back to the sender. Our office "
    "is open on any working day between nine and five, and whoever pays before Friday has it the next morning."
)
_SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo", "nu", "pa", "re", "si", "to", "vu", "wa"]


@dataclass(frozen=True)
class Item:
    """Something to be submitted; `name` tells it from the others of its kind."""

    name: str
    number: int

    @property
    def words(self) -> tuple[str, str]:
        """Microsoft's result category and detail for it."""
        return WORDS[self.number % len(WORDS)]

    @property
    def key(self) -> str:
        """What Microsoft counts."""
        raise NotImplementedError


@dataclass(frozen=True)
class Mail(Item):
    """A mail that somebody got; one `campaign` has the same text in many mails."""

    recipient: str
    campaign: str | None = None

    @property
    def key(self) -> str:
        """Network message id and recipient."""
        return mail_key(self.network_id, self.recipient)

    @cached_property
    def network_id(self) -> str:
        """Exchange's id of it."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"mail {self.name}"))

    @property
    def internet_id(self) -> str:
        """Its Message-ID."""
        return f"<{self.name}@parcel-lure.test>"

    @property
    def subject(self) -> str:
        """A subject of its own."""
        return f"Your parcel {self.name}"

    @property
    def sender(self) -> str:
        """Who wrote it."""
        return "desk@parcel-lure.test"

    @cached_property
    def content(self) -> bytes:
        """The mail as Exchange delivered it."""
        lines = (
            "Received: from mx.parcel-lure.test (203.0.113.9) by contoso.example",
            f"From: Parcel desk <{self.sender}>",
            f"To: <{self.recipient}>",
            f"Subject: {self.subject}",
            f"Message-ID: {self.internet_id}",
            f"Date: {format_datetime(BEGIN)}",
            f"X-MS-Exchange-Organization-Network-Message-Id: {self.network_id}",
            "",
            CAMPAIGN if self.campaign else _wording(self.name),
            "",
        )
        return "\r\n".join(lines).encode()


@dataclass(frozen=True)
class Link(Item):
    """A URL."""

    @property
    def url(self) -> str:
        """The URL itself."""
        return f"https://{self.name}.lure.test/"

    @property
    def key(self) -> str:
        """The URL."""
        return self.url


@dataclass(frozen=True)
class Document(Item):
    """A file."""

    @property
    def content(self) -> bytes:
        """Its bytes."""
        return f"MZ this is the program {self.name}".encode()

    @property
    def file_name(self) -> str:
        """What it is called."""
        return f"{self.name}.exe"

    @property
    def key(self) -> str:
        """Its hash."""
        return file_key(self.content)


def mail_key(network_id: str, recipient: str) -> str:
    """How Microsoft counts a mail."""
    return f"{network_id.lower()} {recipient.lower()}"


def file_key(content: bytes) -> str:
    """How Microsoft counts a file."""
    return hashlib.sha256(content).hexdigest()


def _wording(name: str) -> str:
    """A text of that name's own: no two names are one campaign."""
    octets = hashlib.sha512(name.encode()).digest()
    words = ("".join(_SYLLABLES[octet >> shift & 15] for shift in (4, 0)) for octet in octets)
    return " ".join(f"{word}m" for word in words)
