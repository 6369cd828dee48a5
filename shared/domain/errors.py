"""What can go wrong, named by what to do next.

    DefenderSubmissionsError
    ├── StorageError
    │   ├── AlreadyExists        somebody wrote this row first: read it and go on from there
    │   ├── Changed              the row is not the one you read: read it again and decide again
    │   └── Missing              the row, blob or queue is not there: decide without it
    └── GraphError               carries status, code, message and Graph's request id
        ├── NotSent              nothing left this machine: try again later, it costs only the delay
        ├── Throttled            refused for now: close the window until `retry_after_s`
        ├── NotAllowed           401/403, or no token: stop and tell the operator; the row is not to blame
        ├── NotReady             Microsoft has no metadata of the mail yet: try again in hours
        ├── Refused              400/404/413/422: never try again with the same content
        ├── Gone                 410: the delta link has expired, begin again
        └── AnswerLost           it may have had an effect: reconcile before anything is sent again

Adapters translate the libraries' exceptions into these at the boundary. Texts carry ids and codes, never an address,
a subject, a token or message content: they end up in logs and in the columns `ErrorCode` and `ErrorMessage`.
"""

from __future__ import annotations

from dataclasses import dataclass


class DefenderSubmissionsError(Exception):
    """The root of everything this product raises on purpose."""


class StorageError(DefenderSubmissionsError):
    """A table, queue or blob answered with something that the caller must decide on."""


class AlreadyExists(StorageError):
    """The key is taken: read the row and go on from what it says."""


class Changed(StorageError):
    """Somebody else wrote the row since it was read: read it again and decide again."""


class Missing(StorageError):
    """There is no such row, blob or queue."""


@dataclass(eq=False)
class GraphError(DefenderSubmissionsError):
    """Graph did not do what was asked. `status` is None where no answer arrived."""

    operation: str
    status: int | None = None
    code: str | None = None
    message: str | None = None
    request_id: str | None = None

    def __str__(self) -> str:
        """Name the operation and what Graph answered, for logs."""
        return f"{self.operation}: status {self.status}, code {self.code}, request id {self.request_id}"


NO_CLOUD_MAILBOX = "MailboxNotEnabledForRESTAPI"
"""Graph's code, with 404, for a mailbox that is on-premises, inactive or has no licence: its address may be right."""


class NotSent(GraphError):
    """No connection was made, so nothing can have happened: try again later."""


@dataclass(eq=False)
class Throttled(GraphError):
    """Refused for now. `retry_after_s` is what Graph asked for, None where it did not say."""

    retry_after_s: float | None = None


class NotAllowed(GraphError):
    """The identity lacks a token, a role or a licence: an operator has to act, retries cannot help."""


class NotReady(GraphError):
    """Microsoft is still collecting the metadata of that mail: try again in hours, not seconds."""


class Refused(GraphError):
    """Graph will never accept this: record it and go on."""


class Gone(GraphError):
    """The delta or page link has expired: read the folder from the start, known rows stay as they are."""


class AnswerLost(GraphError):
    """The request was sent and its answer is missing or unreadable: reconcile before repeating it."""
