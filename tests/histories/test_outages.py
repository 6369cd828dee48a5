"""An outage costs time, never rows: hours and days without Microsoft, minutes without tables, and nothing to replay.

Simulated: time is virtual, storage is in memory, Microsoft is the stand-in of the histories. 500 reports and 50
requests wait when the outage begins, with the contract's default quota.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.domain.model import Category
from shared.ports import ReportHead
from tests.histories.character import MAILBOX, calm
from tests.histories.history import History
from tests.histories.items import OPERATORS, PEOPLE, Link, Mail
from tests.histories.judge import findings_of
from tests.histories.microsoft import Delivered, Hour
from tests.histories.trial import silence

REPORTS, REQUESTS = 500, 50
AN_HOUR = 3_600.0


class Outage(History):
    """Many rows wait, and then something is gone for a while."""

    def __init__(self, begin: Callable[[Outage], None], lasts: timedelta) -> None:
        super().__init__(0, given=calm({"REPORTING_MAILBOXES": MAILBOX}))
        self.lasts = lasts
        self._begin = begin
        self.reported = [Mail(f"r{number}", number, PEOPLE[number % len(PEOPLE)]) for number in range(REPORTS)]
        self.asked = [Link(f"asked-{number}", number) for number in range(REQUESTS)]
        self.items.update({one.key: one for one in (*self.reported, *self.asked)})

    async def play(self) -> None:
        """See the class."""
        self._arrive()
        app = self.host.workers[0].app
        while len(self.outcomes.rows()) < REPORTS:
            await app.collect_reports.run()
        self._begin(self)
        self._ask()
        slower = 10.0 if self.lasts > timedelta(days=1) else 1.0  # 4,320 runs that find nothing prove no more than 432
        await self.host.run_timers(self.lasts.total_seconds(), slower=slower)
        self.over_s = self.loop.time()
        while not self.is_settled() and self.loop.time() < self.over_s + 24 * AN_HOUR:
            await self.host.run_timers(AN_HOUR / 2)
        await self.become_quiet()

    def graph_ails(self, hour: Hour) -> None:
        """Graph suffers from that until the outage is over."""
        now = self.loop.now()
        self.microsoft.hours.append((now, now + self.lasts, hour))

    def tables_are_down(self) -> None:
        """The table service answers nothing until the outage is over."""
        self.pace.tables_down_until_s = self.loop.time() + self.lasts.total_seconds()

    def _arrive(self) -> None:
        for mail in self.reported:
            head = ReportHead(f"report-{mail.name}", self.loop.now(), f"3|{mail.subject}", mail.recipient)
            self.mailboxes.deliver(MAILBOX, Delivered(head, mail, self.loop.now()), is_told=True)
            self.expected.reports[MAILBOX, head.message_id] = mail

    def _ask(self) -> None:
        for link in self.asked:
            request = {
                "schemaVersion": 1,
                "kind": "url",
                "category": Category.PHISHING.value,
                "requestedBy": OPERATORS[0],
                "requestId": f"case-{link.name}",
                "url": link.url,
            }
            self.send(request, link)


@pytest.mark.parametrize(
    ("begin", "lasts"),
    [
        pytest.param(lambda on: on.graph_ails(Hour.NO_CONNECTION), timedelta(days=3), id="3 days without Graph"),
        pytest.param(lambda on: on.graph_ails(Hour.POSTS_503), timedelta(minutes=72), id="72 min of 503 on POST"),
        pytest.param(lambda on: on.graph_ails(Hour.POSTS_404), timedelta(hours=1), id="an hour of 404 on POST"),
        pytest.param(lambda on: on.graph_ails(Hour.POSTS_400), timedelta(hours=1), id="an hour of 400 on POST"),
        pytest.param(lambda on: on.tables_are_down(), timedelta(minutes=10), id="10 min without tables"),
    ],
)
def test_an_outage_costs_time_and_no_row(begin: Callable[[Outage], None], lasts: timedelta) -> None:
    """Every row is settled within a day of its end: none failed or rejected, none to replay, none submitted twice."""
    outage = Outage(begin, lasts)
    with silence():
        outage.live()
    rows = outage.outcomes.rows()
    states = Counter(f"{row['State']} {row.get('StateReason') or ''}".strip() for row in rows)
    assert states == Counter(settled=REPORTS + REQUESTS)
    twice = Counter((one.item_key, one.claim) for one in outage.microsoft.effects)
    assert max(twice.values()) == 1
    assert len(twice) == REPORTS + REQUESTS
    assert max(one.at for one in outage.microsoft.effects) <= outage.loop.now()
    assert outage.over_s + 24 * AN_HOUR > _last_settled_s(outage)
    assert findings_of(outage) == []


def _last_settled_s(outage: Outage) -> float:
    return max(steps[-1].at_s for steps in outage.outcomes.steps.values())
