"""Mailboxes that Graph does not open.

One event, whoever found out; the address goes into it as its fingerprint only.
"""

from __future__ import annotations

from ..domain.errors import GraphError
from ..telemetry import Event, emit, fingerprint


def tell_unreachable(mailbox: str, error: GraphError) -> None:
    """Tell that a mailbox gave no answer, and what Graph said instead."""
    emit(
        Event.MAILBOX_UNREACHABLE,
        mailbox=fingerprint(mailbox),
        status=error.status,
        code=error.code,
        request_id=error.request_id,
    )
