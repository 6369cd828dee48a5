"""What Microsoft has been told without us: whether a user's own submission already speaks for a mail."""

from __future__ import annotations

from shared.domain import keys
from shared.domain.model import Outcome, OutcomeKey
from shared.stores.already_at_microsoft import AlreadyAtMicrosoft
from shared.stores.ledger import Ledger


class MicrosoftKnows:
    """Finds the row of the user submission that a mailbox report repeats."""

    def __init__(self, at_microsoft: AlreadyAtMicrosoft | None, ledger: Ledger) -> None:
        """Without `at_microsoft` no source tells of user submissions, and nothing is looked up."""
        self._at_microsoft = at_microsoft
        self._ledger = ledger

    async def submission_of(self, report: Outcome) -> OutcomeKey | None:
        """The row that has this very mail at Microsoft, or None.

        Ids can be forged, so what both rows know of sender and subject has to agree as well: nobody gets his mail out
        of the way by giving it the Message-ID of one that was reported before.
        """
        if self._at_microsoft is None:
            return None
        known = await self._at_microsoft.find(_known_as(report))
        stored = None if known is None else await self._ledger.get(known)
        if stored is None:
            return None
        pairs = ((stored.outcome.sender, report.sender), (stored.outcome.subject, report.subject))
        compared = [_same(one, other) for one, other in pairs if one and other]
        return known if compared and all(compared) else None


def _known_as(report: Outcome) -> list[str]:
    """The keys of the mail: by either id with its recipient."""
    network_id, internet_id, recipient = report.network_message_id, report.internet_message_id, report.recipient or ""
    by_network_id = [keys.email_item(network_id, None, "", recipient)] if network_id else []
    return [*by_network_id, *([keys.email_item(None, internet_id, "", recipient)] if internet_id else [])]


def _same(one: str, other: str) -> bool:
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
