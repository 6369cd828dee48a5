"""Rows of the table `outcomes` for tests: a plain one, and any at all."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, get_type_hints

from hypothesis import strategies as st

from shared.domain import keys
from shared.domain.model import Category, Direction, Kind, Outcome, OutcomeKey, Priority, Source, State
from shared.domain.submissions import ThreatSubmission

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def submission_id(number: int) -> str:
    """Return the submission id of the report with that number."""
    return keys.report_id("reports@contoso.example", f"message-{number}")


def make_outcome(number: int = 1, **facts: Any) -> Outcome:
    """Return a pending mail report as collect would write it, with other `facts` where given."""
    known: dict[str, Any] = {
        "key": OutcomeKey("20261123", submission_id(number)),
        "state": State.PENDING,
        "source": Source.MAILBOX,
        "received_at": NOW,
        "collected_at": NOW,
        "kind": Kind.EMAIL,
        "category": Category.PHISHING,
        "direction": Direction.FALSE_NEGATIVE,
        "priority": Priority.NORMAL,
        "recipient": "bob@contoso.example",
        "sender": "mallory@evil.example",
        "subject": f"Invoice {number}",
        "item_key": keys.email_item(f"network-{number}", None, "", "bob@contoso.example"),
    }
    return Outcome(**{**known, **facts})


def make_listed(number: int = 1, **facts: Any) -> ThreatSubmission:
    """Return how Microsoft lists the submission of `make_outcome(number)`."""
    known: dict[str, Any] = {
        "submission_id": f"graph-{number}",
        "created_at": NOW,
        "category": "phishing",
        "status": "running",
        "recipient": "bob@contoso.example",
        "sender": "mallory@evil.example",
        "subject": f"Invoice {number}",
    }
    return ThreatSubmission(**{**known, **facts})


moments = st.integers(0, 15 * 365 * 24 * 3600 * 10**6).map(
    lambda microseconds: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)
"""Any moment of fifteen years, to the microsecond."""


def outcomes(texts: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Outcome]:
    """Return any row at all: every field that may be absent is absent or not, its words made of `texts`."""
    texts = st.text(max_size=30) if texts is None else texts
    hints = get_type_hints(Outcome)
    return st.builds(
        Outcome,
        **{field.name: _values(hints[field.name], texts) for field in fields(Outcome) if field.name != "key"},
        key=st.builds(
            OutcomeKey, moments.map(keys.day), st.integers(0, 2**128 - 1).map(lambda number: f"{number:032x}")
        ),
    )


def _values(hint: Any, texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    if hint in (str, str | None):
        return texts if hint is str else st.none() | texts
    if hint in (int, int | None):
        return st.integers(0, 2**31 - 1) if hint is int else st.none() | st.integers(0, 2**31 - 1)
    if hint in (datetime, datetime | None):
        return moments if hint is datetime else st.none() | moments
    return st.from_type(hint)
