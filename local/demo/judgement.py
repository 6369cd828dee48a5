"""What must hold after the demo, each rule judged from the outside: rows, feed, the simulator's records, the modules.

Pure: evidence in, checks out. A check without problems holds. A problem names reports, ids and columns of the contract
that come from the sample tenant, never a subject or a body.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from local.demo.expectation import Expectation
from local.demo.published_tables import Row
from local.graph_simulator import RequestRecord, Submission
from shared.domain.lifecycle import FINAL_STATES

PREFERENCE = "include-unknown-enum-members"
"""Without it Graph hides the everyday verdicts (Graph documentation, `submissionResult`)."""
_GRAPH_CLIENT = "msgraph_core"
_GENERATED = "msgraph.generated"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is left to see when the app has stopped."""

    expectations: Sequence[Expectation]
    rows: Sequence[Row]
    feed: Sequence[Row]
    submissions: Sequence[Submission]
    requests: Sequence[RequestRecord]
    modules: Sequence[str]


@dataclass(frozen=True, slots=True)
class Check:
    """One rule, how much it was tried on, and where it does not hold."""

    rule: str
    extent: str
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether there is no problem."""
        return not self.problems


def judge(evidence: Evidence) -> list[Check]:
    """One check for each rule, in the order in which a reader wants to know."""
    asked = [one for one in evidence.requests if "/security/threatsubmission" in one.path.lower()]
    posts = [one for one in asked if one.method == "POST"]
    rows, submissions = f"{len(evidence.rows)} rows", f"{len(evidence.submissions)} submissions"
    rules: tuple[tuple[str, str, Callable[[], Iterator[str]]], ...] = (
        ("Every report and message has one row, a final one", rows, lambda: _misplaced(evidence)),
        ("Every row ended as the sample tenant says", rows, lambda: _misjudged(evidence)),
        ("The feed tells every row's way to its end", f"{len(evidence.feed)} changes", lambda: _untold(evidence)),
        ("Nothing was submitted twice", submissions, lambda: _repeated(evidence.submissions)),
        ("Microsoft has what the rows say, nothing else", submissions, lambda: _unaccounted(evidence)),
        ("Every POST was accepted, none was repeated", f"{len(posts)} POSTs", lambda: _ineffective(posts)),
        ("Every threat call asked for all verdicts: Prefer", f"{len(asked)} calls", lambda: _incurious(asked)),
        ("No generated Graph model was imported", f"{len(evidence.modules)} modules", lambda: _heavy(evidence.modules)),
    )
    return [Check(rule, extent, tuple(find())) for rule, extent, find in rules]


def name_unfinished(expectations: Sequence[Expectation], rows: Sequence[Row]) -> list[str]:
    """Who still lacks a final row, and what stands there instead."""
    return [problem for one in expectations for problem in _unfinished(one, [row for row in rows if one.is_of(row)])]


def _unfinished(expectation: Expectation, found: Sequence[Row]) -> Iterator[str]:
    if not found:
        yield f"{expectation.name}: no row"
    for row in found:
        if row["State"] not in FINAL_STATES:
            yield f"{expectation.name}: {_show(row)} is not final"


def _misplaced(evidence: Evidence) -> Iterator[str]:
    yield from name_unfinished(evidence.expectations, evidence.rows)
    for same in _by_identity(evidence.expectations):
        found = sum(map(same[0].is_of, evidence.rows))
        if found not in {0, len(same)}:
            yield f"{same[0].name}: {found} rows, not {len(same)}"
    for row in evidence.rows:
        if not any(one.is_of(row) for one in evidence.expectations):
            yield f"{row['RowKey']}: {_show(row)}, a row that belongs to no report or message"


def _misjudged(evidence: Evidence) -> Iterator[str]:
    for one in evidence.expectations:
        for row in filter(one.is_of, evidence.rows):
            if not one.is_met_by(row):
                yield f"{one.name}: {one.contrast(row)}"


def _untold(evidence: Evidence) -> Iterator[str]:
    told: defaultdict[str, list[Row]] = defaultdict(list)
    for event in evidence.feed:
        told[event["SubmissionId"]].append(event)
    for row in evidence.rows:
        events = told[row["RowKey"]]
        states = [None, *(event["Event"] for event in events)]
        if [event.get("PreviousState") for event in events] != states[:-1] or states[-1] != row["State"]:
            yield f"{row['RowKey']}: {_show(row)}, but the feed says {' > '.join(map(str, states[1:])) or 'nothing'}"


def _repeated(submissions: Sequence[Submission]) -> Iterator[str]:
    claims = Counter((one.request.item_key, one.request.category) for one in submissions)
    for (item, category), count in claims.items():
        if count > 1:
            yield f"{count} submissions of {item} as {category}"


def _unaccounted(evidence: Evidence) -> Iterator[str]:
    at_microsoft = {one.id for one in evidence.submissions}
    claimed = {row["GraphSubmissionId"] for row in evidence.rows if "GraphSubmissionId" in row}
    yield from (f"submission {one} is in no row" for one in sorted(at_microsoft - claimed))
    yield from (f"submission {one} is in a row only" for one in sorted(claimed - at_microsoft))


def _ineffective(posts: Sequence[RequestRecord]) -> Iterator[str]:
    yield from (f"request {one.sequence}: status {one.status}" for one in posts if one.effect is None)


def _incurious(asked: Sequence[RequestRecord]) -> Iterator[str]:
    if not asked:
        yield "there was no such call"
    for one in asked:
        if PREFERENCE not in one.headers.get("prefer", ""):
            yield f"request {one.sequence}: {one.method} {one.path} without it"


def _heavy(modules: Sequence[str]) -> Iterator[str]:
    if _GRAPH_CLIENT not in modules:
        yield f"the app's list of modules lacks even {_GRAPH_CLIENT}"
    yield from (name for name in modules if name == _GENERATED or name.startswith(f"{_GENERATED}."))


def _by_identity(expectations: Sequence[Expectation]) -> list[list[Expectation]]:
    groups: defaultdict[tuple[tuple[str, str], ...], list[Expectation]] = defaultdict(list)
    for one in expectations:
        groups[tuple(sorted(one.identity.items()))].append(one)
    return list(groups.values())


def _show(row: Row) -> str:
    return "/".join(str(row[column]) for column in ("State", "StateReason", "Verdict") if column in row)
