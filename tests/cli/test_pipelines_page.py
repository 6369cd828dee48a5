"""docs/pipelines.md is held to the code: columns, types, words, numbers, and the examples that it shows."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from docs.examples.send_to_sentinel import BATCH_BYTES
from shared.cli.changes import OVERLAP_MS
from shared.cli.columns import FEED_COLUMNS, OUTCOME_COLUMNS, TYPE_NAMES
from shared.codecs.rows import COLUMNS, SCHEMA_VERSION, log_entity, outcome_entity
from shared.domain.lifecycle import FINAL_STATES
from shared.domain.model import (
    Agreement,
    Category,
    Direction,
    Kind,
    Outcome,
    OutcomeKey,
    Priority,
    Source,
    State,
    Verdict,
)
from shared.stores.outcomes import APPEND_WITHIN_S
from tests.support.outcomes import NOW, outcomes

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "pipelines.md").read_text()
WORDS = {
    "State": State,
    "Source": Source,
    "Kind": Kind,
    "Category": Category,
    "Direction": Direction,
    "Priority": Priority,
    "Verdict": Verdict,
    "Agreement": Agreement,
    "Event": State,
    "PreviousState": State,
}
TABLES = ("### Keys of `outcomes`", "### Keys of `outcomelog`", "### Columns of both")


def section(heading: str) -> str:
    """Return what stands under a heading, up to the next one."""
    return re.split(r"^#+ ", PAGE.partition(f"{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def columns(heading: str) -> dict[str, tuple[str, str, str]]:
    """Return the table under a heading: name to type, when it is absent, example."""
    lines = re.findall(r"^\| `(\w+)` \| (\w+) \| .+ \| ([^|]+) \| `(.+)` \|$", section(heading), flags=re.MULTILINE)
    return {name: (kind, absent, example) for name, kind, absent, example in lines}


@pytest.mark.parametrize(("keys", "code"), [(TABLES[0], OUTCOME_COLUMNS), (TABLES[1], FEED_COLUMNS)])
def test_the_columns_are_the_tables(keys: str, code: dict[str, type]) -> None:
    """Each column with its type, in the order of exports; none is missing and none is invented."""
    told = {**columns(keys), **columns(TABLES[2])}
    facts = list(COLUMNS.values())
    assert {name: kind for name, (kind, _, _) in told.items()} == {
        name: TYPE_NAMES[kind] for name, kind in code.items()
    }
    assert list(columns(keys)) == [name for name in code if name not in facts]
    assert sorted(columns(TABLES[2])) == sorted(facts)


@given(outcome=outcomes())
def test_rows_have_the_types(outcome: Outcome) -> None:
    """Whatever a row holds is of the type that is told."""
    for entity, code in (
        (outcome_entity(outcome), OUTCOME_COLUMNS),
        (log_entity(outcome, State.PENDING, NOW, 0), FEED_COLUMNS),
    ):
        assert {name: type(value) for name, value in entity.items()}.items() <= code.items()


def test_what_is_never_absent_never_is() -> None:
    """A row of which nothing is known has exactly the columns that are told to be never absent."""
    bare = Outcome(
        key=OutcomeKey("20261123", "0" * 32),
        state=State.REJECTED,
        source=Source.MANUAL,
        received_at=NOW,
        collected_at=NOW,
    )
    for keys, entity in zip(TABLES, (outcome_entity(bare), log_entity(bare, None, NOW, 0)), strict=False):
        told = {**columns(keys), **columns(TABLES[2])}
        assert {name for name, (_, absent, _) in told.items() if absent == "never"} == set(entity)


@pytest.mark.parametrize("heading", TABLES)
def test_the_examples_are_values(heading: str) -> None:
    """Each example is of its type, and one of the words where there are words."""
    for name, (kind, _, example) in columns(heading).items():
        if kind == "int32":
            assert 0 <= int(example) < 2**31
        elif kind == "datetime":
            assert datetime.fromisoformat(example).utcoffset() == timedelta()
        elif name in WORDS:
            assert example in set(WORDS[name])


def test_the_words_are_the_models() -> None:
    """States and verdicts in the model's order, the final states last; the version is the one that is written."""
    states = re.findall(r"`([a-z]+)`", section("### States").partition("final")[0])
    assert set(states) == set(State)
    assert set(states[-5:]) == FINAL_STATES
    assert "The last five are final" in section("### States")
    assert re.findall(r"^\| `(\w+)` \|", section("### Verdicts"), flags=re.MULTILINE) == list(Verdict)
    assert f"`SchemaVersion` is {SCHEMA_VERSION}." in section("## Versions")


def test_the_numbers_are_the_codes() -> None:
    """What is told of lateness, looking back and sizes is what the code does."""
    reading = " ".join(section("## Read the feed").split())
    assert "given up after two minutes" in reading
    assert "Go on from half an hour before" in reading
    assert (APPEND_WITHIN_S, OVERLAP_MS) == (2 * 60, 30 * 60 * 1000)
    assert f"cuts at {BATCH_BYTES:,} bytes" in " ".join(section("### Microsoft Sentinel").split())


INCLUDED = re.findall(r"^<!-- (docs/examples/\S+) -->\n```\w+\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("path", "text"), INCLUDED, ids=[path for path, _ in INCLUDED])
def test_what_is_shown_is_the_file(path: str, text: str) -> None:
    """The page shows the example that is run, letter for letter."""
    assert text == (ROOT / path).read_text()


def test_every_example_is_on_the_page() -> None:
    """The Python consumer is shown; each file, or its folder, is linked."""
    assert "docs/examples/consume_feed.py" in dict(INCLUDED)
    linked: set[Any] = set(re.findall(r"\]\((examples/[^)]+)\)", PAGE))
    for path in (ROOT / "docs" / "examples").iterdir():
        assert path.name.startswith("__") or f"examples/{path.name}" in linked
