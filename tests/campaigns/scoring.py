"""How well labelled mails are told apart: what the product knows each by, and who joins whom in order of arrival."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.domain.campaigns import Fingerprint, belongs
from shared.domain.model import Category
from shared.domain.originals import OriginalFacts, read_original
from shared.domain.tenant import Tenant
from shared.formats.mail_fingerprint import mail_fingerprint
from tests.campaigns.labelled_mails import LabelledMail

TENANT_ID = "11111111-2222-3333-4444-555555555555"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A mail's name, the campaign it is a copy of, and what it is recognised by."""

    name: str
    campaign: str | None
    known_by: Fingerprint | None


@dataclass(frozen=True, slots=True)
class Score:
    """Pairs that were taken for one campaign and are not, copies that missed the campaign of the first, and how many.

    `joined` counts the pairs that were taken for one campaign, `copies` those that could join a first one.
    """

    false_pairs: list[tuple[str, str]]
    joined: int
    missed: list[str]
    copies: int

    @property
    def precision(self) -> float:
        """Of the pairs that were joined, the share that belong together."""
        return 1 - len(self.false_pairs) / self.joined if self.joined else 1.0

    @property
    def recall(self) -> float:
        """Of the copies that could, the share that joined the campaign of the first."""
        return 1 - len(self.missed) / self.copies if self.copies else 1.0


def recognise(sources: Sequence[LabelledMail]) -> list[Labelled]:
    """Return what the product knows each mail by when all report it as phishing, the hardest case."""
    tenant = Tenant(TENANT_ID, frozenset(mail.recipient.rpartition("@")[2] for mail in sources))
    return [Labelled(mail.name, mail.campaign, _known_by(mail, tenant)) for mail in sources]


def score(mails: Sequence[Labelled]) -> Score:
    """Compare all pairs, and let each mail join the first campaign whose first member it belongs to."""
    pairs = [(one, other) for one, other in itertools.combinations(mails, 2) if belong(one, other)]
    false_pairs = [(a.name, b.name) for a, b in pairs if a.campaign is None or a.campaign != b.campaign]
    missed, copies = _missed(mails)
    return Score(false_pairs, len(pairs), missed, copies)


def belong(one: Labelled, other: Labelled) -> bool:
    """Tell whether two mails are taken for copies of one."""
    return one.known_by is not None and other.known_by is not None and belongs(one.known_by, other.known_by)


def _known_by(mail: LabelledMail, tenant: Tenant) -> Fingerprint | None:
    facts = read_original(mail.mime, tenant=tenant, reporter=mail.recipient)
    if not isinstance(facts, OriginalFacts):
        raise TypeError(f"{mail.name} could not be read")
    return mail_fingerprint(Category.PHISHING, facts, mail.mime)


def _missed(mails: Iterable[Labelled]) -> tuple[list[str], int]:
    firsts: list[Labelled] = []
    joined: dict[str, bool] = {}
    for mail in mails:
        begun = next((first for first in firsts if belong(first, mail)), mail)
        if begun is mail:
            firsts.append(mail)
        if mail.campaign is not None and mail.name != f"{mail.campaign}-0":
            joined[mail.name] = begun.name == f"{mail.campaign}-0"
    return [name for name, has_joined in joined.items() if not has_joined], len(joined)
