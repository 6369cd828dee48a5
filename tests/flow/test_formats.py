"""The table in docs/formats.md, row by row: each format's sample goes through the whole app and ends as it says there.

The table is the expectation. A fact that it names has to be that of the original, and one that it does not name has to
be unknown.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.sample_tenant import REPORTING_MAILBOX
from shared.domain.model import Outcome, SkipReason
from tests.support.format_samples import SAMPLES, Sample
from tests.support.reports import only_row, submissions
from tests.support.stage import stage

TABLE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
HEADINGS = ["format", "what arrives", "sample", "what is read", "what becomes of it", "`StateReason`"]
FACTS = {"category", "recipient", "sender", "sender IP", "internet message id", "network message id"}
ALL = "all facts"
NOTHING = "–"  # noqa: RUF001 - as the table has it
CODE = re.compile(r"`([^`]+)`")
QUOTED = re.compile(r"“([^”]+)”")


@dataclass(frozen=True, slots=True)
class Row:
    """One format as the table tells of it."""

    name: str
    sample: str
    facts: frozenset[str]
    state: str
    detail: str | None
    reason: str | None


def read_table() -> list[Row]:
    """The rows of the one table that has these headings."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    start = cells.index(HEADINGS) + 2
    return [read_row(*row) for row in cells[start:] if len(row) == len(HEADINGS)]


def read_row(name: str, _arrives: str, sample: str, read: str, becomes: str, reason: str) -> Row:
    """A row's cells; in the last but one the first word in code is the state and what is quoted is the detail."""
    detail = QUOTED.search(becomes)
    return Row(
        name=name,
        sample=CODE.findall(sample)[0],
        facts=frozenset(FACTS if read == ALL else read.split(", ")),
        state=CODE.findall(becomes)[0],
        detail=detail[1] if detail else None,
        reason=None if reason == NOTHING else CODE.findall(reason)[0],
    )


ROWS = read_table()


def facts_of(row: Outcome) -> dict[str, str | None]:
    """What a row of `outcomes` knows, by the table's words."""
    return {
        "category": row.category,
        "recipient": row.recipient,
        "sender": row.sender,
        "sender IP": row.sender_ip,
        "internet message id": row.internet_message_id,
        "network message id": row.network_message_id,
    }


def facts_in(sample: Sample) -> dict[str, str | None]:
    """What is true of the sample's original, as another parser than the app's reads it."""
    return {
        "category": sample.category,
        "recipient": sample.recipient,
        "sender": sample.facts.sender,
        "sender IP": sample.facts.sender_ip,
        "internet message id": sample.facts.internet_message_id,
        "network message id": sample.facts.network_message_id,
    }


def test_the_table_and_the_samples_are_complete() -> None:
    """Each row has a sample of its own and each sample a row; words of the table are those that are compared."""
    assert sorted(row.sample for row in ROWS) == sorted(SAMPLES)
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert {fact for row in ROWS for fact in row.facts} <= FACTS


def test_the_table_shows_every_reason_that_a_mail_can_give() -> None:
    """Only what the tenant's settings or Microsoft decide is told elsewhere."""
    elsewhere = {SkipReason.ALREADY_AT_MICROSOFT, SkipReason.SHADOW_MODE}
    assert {row.reason for row in ROWS} - {None} == set(SkipReason) - elsewhere


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sample)
async def test_a_format_ends_as_the_table_says(row: Row) -> None:
    """State, reason, detail and every fact; what is skipped is not submitted, what is not is submitted once."""
    sample = SAMPLES[row.sample]()
    async with stage() as on:
        on.graph.tenant.deliver(REPORTING_MAILBOX, sample.mail)
        await on.finish(rows=1)
        outcome = await only_row(on)
        assert (outcome.state, outcome.state_reason, outcome.state_detail) == (row.state, row.reason, row.detail)
        assert facts_of(outcome) == {
            name: told if name in row.facts else None for name, told in facts_in(sample).items()
        }
        assert len(submissions(on)) == (row.reason is None)
