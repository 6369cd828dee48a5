"""What the sample tenant says of a report's or a message's row: how to tell it from the others, and how it must end.

Both are columns of the contract, section 4. A row is found by what its sender gave, never by a key that the app chose.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.demo.published_tables import Row
from local.sample_tenant import SampleManualMessage, SampleReport


@dataclass(frozen=True, slots=True)
class Expectation:
    """One row to come. Several may have the same `identity`: then there must be as many rows."""

    name: str
    identity: Mapping[str, str]
    ending: Mapping[str, str]

    def is_of(self, row: Row) -> bool:
        """Whether the row is this one's."""
        return _holds(row, self.identity)

    def is_met_by(self, row: Row) -> bool:
        """Whether the row ended as it must."""
        return _holds(row, self.ending)

    def contrast(self, row: Row) -> str:
        """The columns in which the row did not end as it must, in one line."""
        wrong = ((column, value) for column, value in self.ending.items() if row.get(column) != value)
        return ", ".join(f"{column} {row.get(column, 'absent')} instead of {value}" for column, value in wrong)


def expect_report(report: SampleReport, message_id: str) -> Expectation:
    """The row of a report that has this immutable id in the reporting mailbox."""
    ending = {
        "State": report.expected_state,
        "StateReason": report.expected_reason,
        "Verdict": report.expected_verdict,
        "Category": report.expected_category,
        "Recipient": report.expected_recipient,
        "NetworkMessageId": report.expected_network_message_id,
    }
    return Expectation(report.name, {"Source": "mailbox", "ReportMessageId": message_id}, _given(ending))


def expect_message(message: SampleManualMessage) -> Expectation | None:
    """The row of an operator's message; None if it must not make one."""
    if message.expected_state is None:
        return None
    ending = {
        "State": message.expected_state,
        "StateReason": message.expected_reason,
        "Verdict": message.expected_verdict,
    }
    return Expectation(message.name, {"Source": "manual", **_identity(message)}, _given(ending))


def _identity(message: SampleManualMessage) -> Mapping[str, str]:
    """What was asked for; a message refused for its form has only the reason in its row."""
    if message.expected_reason is not None:
        return {"StateReason": message.expected_reason}
    request = _read_request(message.body)
    asked = {
        "Kind": request["kind"],
        "Category": request["category"],
        "Recipient": request.get("recipient"),
        "RequestId": request.get("requestId"),
        "Url": request.get("url"),
        "FileName": request.get("file", {}).get("name"),
    }
    return _given(asked)


def _read_request(body: str) -> dict[str, Any]:
    try:
        return dict(json.loads(base64.b64decode(body, validate=True)))
    except binascii.Error:
        return dict(json.loads(body))


def _given(columns: Mapping[str, str | None]) -> dict[str, str]:
    return {column: str(value) for column, value in columns.items() if value is not None}


def _holds(row: Row, columns: Mapping[str, str]) -> bool:
    return all(row.get(column) == value for column, value in columns.items())
