"""The request log: what every client asked and what it was given, in the order of the decisions.

Records are never changed. A test proves here what its client did on the wire: which header it sent, what it repeated,
and to which submission each POST led.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request.

    `status` is None where the connection was cut instead of answered; `effect` is the id of the submission, or of the
    mail, that the request created, whether or not the client learnt of it; `throttle` names the limit behind a 429
    (`tenant_15_min`, `tenant_24_h`, `item_15_min`, `item_24_h`, `hunting_1_min`, `mailbox_concurrency`,
    `mailbox_1_min`); `fault` names the fault
    that was played. `headers` has the lower-case names of those in `LOGGED_HEADERS` that were sent.
    """

    sequence: int
    at: datetime
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    status: int | None
    effect: str | None = None
    throttle: str | None = None
    fault: str | None = None


LOGGED_HEADERS = ("Prefer", "Authorization", "client-request-id", "Host", "Content-Type", "User-Agent")


class RequestLog:
    """All records since the start or the last `clear`."""

    def __init__(self) -> None:
        self._records: list[RequestRecord] = []
        self._next_sequence = 1

    def take_sequence(self) -> int:
        """Return a number no other request has; it goes on after `clear`."""
        sequence = self._next_sequence
        self._next_sequence += 1
        return sequence

    def append(self, record: RequestRecord) -> None:
        """Keep `record`."""
        self._records.append(record)

    def clear(self) -> None:
        """Forget all records."""
        self._records.clear()

    def select(
        self, *, method: str | None = None, path: str | None = None, after_sequence: int = 0
    ) -> tuple[RequestRecord, ...]:
        """Return the records after a sequence number with this method whose path contains the pattern `path`."""
        pattern = re.compile(path or "")
        return tuple(
            record
            for record in self._records
            if record.sequence > after_sequence and method in {None, record.method} and pattern.search(record.path)
        )
