"""What Microsoft has been told without us: whether a user's own submission already speaks for a mail."""

from __future__ import annotations

from ...domain import keys
from ...domain.model import Outcome, OutcomeKey
from ...domain.user_submissions import speaks_for
from ...stores.already_at_microsoft import AlreadyAtMicrosoft
from ...stores.ledger import Ledger


class MicrosoftKnows:
    """Finds the row of the user submission that a mailbox report repeats."""

    def __init__(self, at_microsoft: AlreadyAtMicrosoft | None, ledger: Ledger) -> None:
        """Without `at_microsoft` no source tells of user submissions, and nothing is looked up."""
        self._at_microsoft = at_microsoft
        self._ledger = ledger

    async def submission_of(self, report: Outcome) -> OutcomeKey | None:
        """The row that has this very mail at Microsoft and speaks for this report, or None."""
        if self._at_microsoft is None:
            return None
        known = await self._at_microsoft.find(_known_as(report))
        stored = None if known is None else await self._ledger.get(known)
        return known if stored is not None and speaks_for(stored.outcome, report) else None


def _known_as(report: Outcome) -> list[str]:
    """The keys of the mail: by either id with its recipient."""
    network_id, internet_id, recipient = report.network_message_id, report.internet_message_id, report.recipient or ""
    by_network_id = [keys.email_item(network_id, None, "", recipient)] if network_id else []
    return [*by_network_id, *([keys.email_item(None, internet_id, "", recipient)] if internet_id else [])]
