"""What the host tells its observer: every operation on the wire and every step of a function.

Names follow the recorded traces (`GetMessages`, `function:start`, `host:stopped`), so that a test can lay a replay
next to a recording. An event never carries a message body: bodies are hostile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class HostEvent:
    """One thing that happened, at one moment; fields that do not apply are None or empty.

    Wire operations: `GetQueueMetadata`, `CreateQueue`, `GetMessages`, `PutMessage`, `UpdateMessage`, `DeleteMessage`.
    Others: `function:start`, `function:end`, `function:notCalled` (its value could not be bound), `function:timer`,
    `function:timerEnd`, `function:leftOut`, `host:started`, `host:stopping`, `host:stopped`, `host:killed`,
    `worker:lost`. `status` is the HTTP status, `outcome` is `ok` or `failed`.
    """

    at: datetime
    name: str
    queue: str | None = None
    function: str | None = None
    message_id: str | None = None
    pop_receipt: str | None = None
    count: int | None = None
    visibility_timeout_s: int | None = None
    dequeue_counts: tuple[int, ...] = ()
    status: int | None = None
    outcome: str | None = None
    past_due: bool | None = None


Observer = Callable[[HostEvent], None]


def ignore_event(event: HostEvent) -> None:
    """Observe nothing."""
    del event
