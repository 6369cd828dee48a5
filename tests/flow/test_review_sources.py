"""Alerts with a time that cannot be: the mailbox is read all the same, and no row is made that would stay open."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.codecs.user_submission import read_alert
from shared.domain.model import Source
from shared.domain.user_submissions import UserSubmission
from shared.ports import ToldSubmissions
from tests.flow.test_sources import TO_MICROSOFT, stage_with_all
from tests.support.reports import ANNA, BEN, as_item, events, listen, original, report_with
from tests.support.stage import Stage


@dataclass
class Told:
    """Tells of these user submissions."""

    submissions: Sequence[UserSubmission]

    async def told_since(self, since: datetime, resume: str | None = None) -> ToldSubmissions:
        """All of them, whenever they were made."""
        del since, resume
        return ToldSubmissions(tuple(self.submissions), 0)


def reported_at(text: str) -> list[UserSubmission]:
    """What an alert tells of a mail that Anna reported then."""
    evidence: dict[str, Any] = {
        "@odata.type": "#microsoft.graph.security.submissionMailEvidence",
        "submissionId": "49c5ef5b-1f65-444a-e6b9-08d772ea2059",
        "submissionDateTime": text,
        "submitter": ANNA,
    }
    read = read_alert(
        {"title": "Email reported by user", "createdDateTime": "2026-11-23T11:50:00Z", "evidence": [evidence]}
    )
    return [one for one in read if one is not None]


async def collect_with_alert(on: Stage, submissions: Sequence[UserSubmission]) -> list[Source]:
    """The sources of the rows there are when Ben's report stands in the mailbox and an alert tells of these."""
    assert on.ports.sources is not None
    on.graph.control.set_report_destination(TO_MICROSOFT)
    report_with(on, as_item(original("in-mailbox")), subject="please look", reporter=BEN)
    on.ports = replace(on.ports, sources=replace(on.ports.sources, defender_alerts=Told(submissions)))
    await on.start_process().collect_reports.run()
    return sorted(row.source for row in await on.outcomes() if row.source)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "0001-01-02T00:00:00Z"])
async def test_an_alert_without_a_time_stops_no_mailbox(text: str) -> None:
    """Microsoft's empty time is no time: the alert's own counts, and every report gets its row."""
    async with stage_with_all() as on:
        assert await collect_with_alert(on, reported_at(text)) == [Source.MAILBOX, Source.MICROSOFT]
        assert {row.key.partition for row in await on.outcomes()} == {"20261123"}


async def test_a_submission_of_the_future_gets_no_row(caplog: pytest.LogCaptureFixture) -> None:
    """Its deadline would never pass; the event says that something could not be used."""
    listen(caplog)
    (found,) = reported_at("2026-11-23T11:00:00Z")
    async with stage_with_all() as on:
        later = replace(found, created_at=datetime(9999, 12, 31, tzinfo=UTC))
        assert await collect_with_alert(on, [later]) == [Source.MAILBOX]
        assert "source_rows_unusable" in events(caplog)
