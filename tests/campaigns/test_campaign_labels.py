"""The labelled mails as the product sees them: no mail taken for a copy of another, nearly all copies recognised."""

import itertools
from dataclasses import dataclass

import pytest

from shared.domain.campaigns import Fingerprint, belongs
from shared.domain.model import Category
from shared.domain.originals import OriginalFacts, read_original
from shared.domain.tenant import Tenant
from shared.formats.mail_fingerprint import mail_fingerprint
from tests.campaigns.labelled_mails import LabelledMail, labelled_mails

TENANT_ID = "11111111-2222-3333-4444-555555555555"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A mail's name, the campaign it is a copy of, and what it is recognised by."""

    name: str
    campaign: str | None
    known_by: Fingerprint | None


@pytest.fixture(scope="module")
def mails() -> list[Labelled]:
    """Return all labelled mails in the order they arrive in."""
    sources = labelled_mails()
    tenant = Tenant(TENANT_ID, frozenset(mail.recipient.rpartition("@")[2] for mail in sources))
    return [Labelled(mail.name, mail.campaign, recognise(mail, tenant)) for mail in sources]


def recognise(mail: LabelledMail, tenant: Tenant) -> Fingerprint | None:
    """Return what the product knows a mail by when all report it as phishing, the hardest case."""
    facts = read_original(mail.mime, tenant=tenant, reporter=mail.recipient)
    assert isinstance(facts, OriginalFacts), mail.name
    return mail_fingerprint(Category.PHISHING, facts, mail.mime)


def belong(one: Labelled, other: Labelled) -> bool:
    """Tell whether two mails are taken for copies of one."""
    return one.known_by is not None and other.known_by is not None and belongs(one.known_by, other.known_by)


def test_no_mail_is_taken_for_a_copy_of_another(mails: list[Labelled]) -> None:
    """Of all pairs, only copies of one campaign belong together."""
    pairs = [(one, other) for one, other in itertools.combinations(mails, 2) if belong(one, other)]
    assert [
        (one.name, other.name) for one, other in pairs if one.campaign is None or one.campaign != other.campaign
    ] == []


def test_nine_of_ten_copies_join_the_campaign_of_the_first(mails: list[Labelled]) -> None:
    """In order of arrival, a mail joins the first campaign whose first member it belongs to, or begins one."""
    firsts: list[Labelled] = []
    joined: dict[str, bool] = {}
    for mail in mails:
        begun = next((first for first in firsts if belong(first, mail)), mail)
        if begun is mail:
            firsts.append(mail)
        if mail.campaign is not None and mail.name != f"{mail.campaign}-0":
            joined[mail.name] = begun.name == f"{mail.campaign}-0"
    missed = [name for name, has_joined in joined.items() if not has_joined]
    assert len(joined) >= 60
    assert len(missed) <= len(joined) // 10, missed
