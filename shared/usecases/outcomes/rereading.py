"""Rereading: what a row was once made from is read again, because it may be whole by now.

A request's message is kept in `rejected-messages`, a report stands in its mailbox. The answer is the candidate that
intake or collect would make of it today, under the row's own key.
"""

from __future__ import annotations

from dataclasses import replace

from ...domain.errors import Refused
from ...domain.model import Outcome, Source
from ...domain.replays import CannotReplay
from ...ports import MailSource
from ..arrivals.destination import ReportDestination
from ..arrivals.intake import IntakeManual
from ..arrivals.reading import ReportPlace, ReportReader
from ..sending.admission import Candidate


class Rereader:
    """Makes a row's candidate anew."""

    def __init__(
        self, *, intake: IntakeManual, reader: ReportReader, mail: MailSource, destination: ReportDestination
    ) -> None:
        self._intake = intake
        self._reader = reader
        self._mail = mail
        self._destination = destination

    async def candidate(self, outcome: Outcome) -> Candidate:
        """The candidate for that row.

        Raises `CannotReplay` where there is nothing left to read, any other `GraphError` where Graph does not tell now.
        """
        if outcome.source is Source.MANUAL:
            return await self._intake.read_again(outcome.key)
        return await self._reported(outcome)

    async def _reported(self, outcome: Outcome) -> Candidate:
        mailbox, message_id = outcome.mailbox or "", outcome.report_message_id or ""
        head = await self._mail.head(mailbox, message_id)
        if head is None:
            raise CannotReplay(
                "report_gone", "The report is not in its mailbox any more: have the mail reported again."
            )
        head = replace(head, message_id=message_id, received_at=outcome.received_at)
        place = ReportPlace(mailbox, head, await self._destination.surely_reaches_microsoft())
        try:
            candidate = await self._reader.read(place)
        except Refused:
            raise CannotReplay(
                "report_unavailable", "Graph still does not give the report: have the mail reported again."
            ) from None
        if candidate is None:
            raise CannotReplay("no_report", "It is an automatic reply or a failure notice, not a report.")
        return candidate
