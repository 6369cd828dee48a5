"""After a restore: what the app may have sent and does not know of.

The tables are as they were when the backup began. Whatever was sent between then and the restore is at Microsoft all
the same: so a row that may be among it is looked up in Microsoft's list before anything of it is sent. That is every
row received before the restore, whether the backup has it or it was read again from its mailbox; and every request that
is asked for again within a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from .model import Outcome, Source

RESTORED = "restored"
"""The `StateReason` of a row that is looked up for this."""
NOT_FOUND = "no_effect"
ASKED_AGAIN_WITHIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Restored:
    """When the backup began that the tables are from, and when they were restored; `is_whole` once all is back."""

    backed_up_at: datetime
    restored_at: datetime
    is_whole: bool = True

    def must_be_looked_up(self, outcome: Outcome) -> bool:
        """Whether a waiting row may have been sent between backup and restore, and was not looked up since."""
        if outcome.dispatched_at is not None and outcome.dispatched_at > self.restored_at:
            return False
        is_changed_since = outcome.changed_at is not None and outcome.changed_at > self.restored_at
        if outcome.state_reason == NOT_FOUND and is_changed_since:
            return False
        if outcome.source is Source.MANUAL:
            return outcome.collected_at < self.restored_at + ASKED_AGAIN_WITHIN
        return outcome.received_at < self.restored_at

    def sent_after(self, outcome: Outcome) -> datetime:
        """Before when such a row was surely not sent: what was received in between has no earlier submission.

        Mails that agree in all that Microsoft's list tells of them would else be taken for one another.
        """
        if outcome.source is Source.MANUAL:
            return self.backed_up_at
        return max(self.backed_up_at, outcome.received_at)

    def hides(self, sent_at: datetime) -> bool:
        """Whether a row that was sent then may have been sent again since, unknown to the tables."""
        return sent_at < self.restored_at
