"""Some months of reports with verdicts, and the days of `statistics` that the app would keep of them."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from azure.data.tables.aio import TableServiceClient

from shared.codecs.rows import outcome_entity
from shared.codecs.statistics import statistics_entity
from shared.domain.model import Agreement, Category, Outcome, Source, State, Verdict
from shared.domain.statistics import day_statistics
from shared.ports import Entity
from tests.cli.tenant_rows import row

REPORTERS: Final = ("anna.berg", "ben.okafor", "layla.haddad", "mei.tanaka", "jon.silva", "eva.novak")
SENDERS: Final = ("desk@parcel.example", "billing@supplier.example", "news@shop.example", "hr@contoso-portal.example")
_NEVER: Final = (
    *("submitted_at", "settled_at", "verdict", "agreement", "seconds_to_submit", "seconds_to_verdict"),
    *("covered_by", "campaign_id"),
)
"""What a row that failed never had."""
_SKIPS: Final = ("simulation", "no_original", "untrusted_reporter")


def months_of_rows(now: datetime, days: int, *, a_day: int = 6) -> list[Outcome]:
    """Return rows of so many days before now, the same whatever day it is.

    Two days of each seven have few. Some rows are covered, skipped or undecided, and one of 200 failed.
    """
    pick = random.Random(7)  # noqa: S311 - sample data
    found: list[Outcome] = []
    for ago in range(days, 0, -1):
        at = datetime.combine(now.date() - timedelta(days=ago), time(8), UTC)
        count = pick.randint(1, 2) if ago % 7 < 2 else pick.randint(a_day // 2, a_day * 2)
        found += [_ended(len(found) + number, at + timedelta(minutes=number), pick) for number in range(count)]
    for begin in range(190, len(found), 200):
        _fail_one(found, begin)
    return found


def _fail_one(rows: list[Outcome], begin: int) -> None:
    """Let the first row from there on fail that follows a submitted one of its day."""
    for number in range(begin, len(rows)):
        before = rows[number - 1]
        if before.submitted_at and before.key.partition == rows[number].key.partition:
            never: dict[str, Any] = dict.fromkeys(_NEVER)
            rows[number] = replace(rows[number], state=State.FAILED, state_reason="not_sent", **never)
            return


def _ended(number: int, at: datetime, pick: random.Random) -> Outcome:
    category = pick.choices(list(Category), weights=[6, 1, 2, 2])[0]
    sender = SENDERS[2] if category is Category.NOT_JUNK and pick.random() < 0.8 else pick.choice(SENDERS)
    reporter = pick.choices(REPORTERS, weights=[9, 6, 4, 3, 2, 1])[0]
    facts: dict[str, Any] = {
        "category": category,
        "direction": category.direction,
        "sender": sender,
        "reporter": f"{reporter}@contoso.example",
        "source": Source.MAILBOX,
    }
    first = row(number, at, **facts)
    way = pick.random()
    if way < 0.12:
        return replace(first, state=State.SKIPPED, state_reason=pick.choice(_SKIPS))
    is_right = pick.random() < (0.1 if reporter == "jon.silva" else 0.8)
    agreement = (
        Agreement.CONFIRMED if is_right else pick.choice([Agreement.REFUTED, Agreement.REFUTED, Agreement.UNDECIDED])
    )
    to_submit_s, to_verdict_s = pick.randint(8, 90), int(pick.lognormvariate(6.5, 1.2))
    settled = replace(
        first,
        state=State.SETTLED,
        agreement=agreement,
        verdict=Verdict.MALICIOUS if is_right else Verdict.CLEAN,
        settled_at=at + timedelta(seconds=to_verdict_s),
        seconds_to_verdict=to_verdict_s,
    )
    if way < 0.3:
        return replace(settled, campaign_id=f"campaign-{at.isocalendar().week}", covered_by="c" * 32)
    return replace(settled, submitted_at=at + timedelta(seconds=to_submit_s), seconds_to_submit=to_submit_s)


def kept_days(rows: Iterable[Outcome]) -> list[Entity]:
    """Return the days of `statistics` that the app keeps of rows."""
    by_day: dict[date, list[Outcome]] = {}
    for one in rows:
        by_day.setdefault(one.received_at.date(), []).append(one)
    return [statistics_entity(day_statistics(day, some)) for day, some in by_day.items()]


async def fill_report(service: TableServiceClient, rows: Sequence[Outcome], days: Sequence[Entity]) -> None:
    """Write rows and days into tables that are made where they are missing."""
    for name, entities in (("outcomes", [outcome_entity(one) for one in rows]), ("statistics", days)):
        await service.create_table_if_not_exists(name)
        table = service.get_table_client(name)
        by_partition: dict[str, list[Entity]] = {}
        for entity in entities:
            by_partition.setdefault(str(entity["PartitionKey"]), []).append(entity)
        for some in by_partition.values():
            for first in range(0, len(some), 100):
                await table.submit_transaction([("upsert", dict(one)) for one in some[first : first + 100]])
