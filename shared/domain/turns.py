"""When Microsoft takes an item again: once in 15 minutes and three times in 24 hours.

Source: Graph throttling limits, "threat submissions": the resource is a unique network message id and recipient. One
row at a time has the item's turn, from its slot on; the next one may go when the POST before it, counted from its end,
lies a window back. A turn whose slot was never used ends by itself, so that nothing waits for ever behind a bug.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from .planner import CLOCK_MARGIN, DAY, SLOT_LIFETIME, WINDOW

POSTS_PER_DAY = 3
LONGEST_INVOCATION = timedelta(minutes=10)
"""`functionTimeout` in host.json: no worker lives longer than this after it took a message."""
WORKER_SURELY_GONE = SLOT_LIFETIME + LONGEST_INVOCATION + timedelta(minutes=1)
"""A worker takes its message before the slot's lifetime is over, so this long after the slot's moment none is left."""
LOOK_AGAIN_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Turn:
    """What is known of an item's POSTs: the slot of the row whose turn it is, its moment, and when POSTs ended."""

    slot: str | None = None
    slot_at: datetime | None = None
    sent: tuple[datetime, ...] = ()

    def free_at(self, now: datetime) -> datetime:
        """When another row on the item may be sent; `now` or earlier where it may be at once."""
        if self.slot is not None and self.slot_at is not None and now < self.slot_at + WORKER_SURELY_GONE:
            return now + LOOK_AGAIN_AFTER
        today = [at for at in self.sent if now - at < DAY + CLOCK_MARGIN]
        if len(today) >= POSTS_PER_DAY:
            return today[-POSTS_PER_DAY] + DAY + CLOCK_MARGIN
        return max((at + WINDOW + CLOCK_MARGIN for at in today), default=now)

    def taken(self, slot: str, at: datetime) -> Turn:
        """The item with the turn given to that slot."""
        return replace(self, slot=slot, slot_at=at)

    def posted(self, *at: datetime) -> Turn:
        """The item after POSTs that ended at these times, or may have been made until then: nobody has its turn."""
        return Turn(sent=(*self.sent, *at)[-POSTS_PER_DAY:])

    def is_over(self, now: datetime) -> bool:
        """Whether nothing is left to remember."""
        is_taken = self.slot_at is not None and now < self.slot_at + DAY
        return not is_taken and all(now - at > DAY + 2 * CLOCK_MARGIN for at in self.sent)
