"""Large starting states, what is counted of two builds, and the exponents that the counts show."""

import json
from dataclasses import dataclass
from datetime import timedelta

import pytest

from local.bench.builds import TODAY, Build, exported
from local.bench.collecting import measure_after_stop
from local.bench.figures import Figure, Target
from local.bench.growth import exponent
from local.bench.settling import measure_new_words
from local.bench.side_by_side import SideBySide
from local.bench.stand_ins import ROOT
from local.bench.starting_state import RowNames, aged, multiply, renamed, without_entities
from local.bench.wire.queues_and_blobs import StoredContainer
from local.bench.wire.state import StorageState
from local.bench.wire.table_filter import UnknownFilterError, read_filter
from local.bench.wire.tables import StoredEntity, StoredTable
from local.bench.wire_stage import wire_stage

ROW, ITEM, NUMBER = "ab" * 16, "cd" * 16, "5000000000"


def entity(row: str, partition: str = "p", **properties: object) -> StoredEntity:
    """Return an entity as the server stores it."""
    return StoredEntity(partition, row, 'W/"0x1"', json.dumps({"PartitionKey": partition, "RowKey": row, **properties}))


def table(*entities: StoredEntity) -> StoredTable:
    """Return a table of these."""
    made = StoredTable()
    for one in entities:
        made.put(one)
    return made


OUTCOME = entity(ROW, "20261130", ItemKey=ITEM, Subject=f"Parcel {NUMBER}")
NAMES = RowNames.of(OUTCOME, NUMBER)


def state() -> StorageState:
    """Return an account with one row, known by three names, and entities of two layouts that follow from it."""
    return StorageState(
        {
            "outcomes": table(OUTCOME),
            "worklist": table(entity("0-quota", Last=ROW), entity(f"3-{ROW}", Outcome=json.dumps({"Item": ITEM}))),
            "items": table(entity(ITEM, Claims=json.dumps({"phishing": [ROW]}))),
        }
    )


def test_a_row_is_copied_with_everything_that_follows_from_it() -> None:
    """Each copy has names of its own form in keys and values; what only mentions the row is the tenant's, not its."""
    many = state()
    multiply(many, NAMES, 3)
    assert [len(many.tables[name]) for name in ("outcomes", "worklist", "items")] == [4, 5, 4]
    copies = [one for one in many.tables["outcomes"] if one.row != ROW]
    assert {one.properties()["Subject"] for one in copies} == {f"Parcel {int(NUMBER) + copy}" for copy in (1, 2, 3)}
    for one in copies:
        item = one.properties()["ItemKey"]
        entry = many.tables["worklist"].get("p", f"3-{one.row}")
        claims = many.tables["items"].get("p", item)
        assert entry is not None
        assert item in entry.text
        assert claims is not None
        assert one.row in claims.text
        assert one.etag == OUTCOME.etag


def test_the_first_account_stays_as_it_was() -> None:
    """Copies of an account share nothing that is written."""
    first = state()
    second = first.copy()
    multiply(second, NAMES, 5, without={"items"})
    assert [len(one) for one in first.tables.values()] == [1, 2, 1]
    assert [len(one) for one in second.tables.values()] == [6, 7, 1]


@dataclass(frozen=True)
class _Mail:
    subject: str


@dataclass(frozen=True)
class _Submission:
    id: str
    mail: _Mail
    size: int = 3


def test_what_microsoft_has_gets_the_same_names() -> None:
    """A record is renamed however deep, and in the same way as storage."""
    copy = renamed(_Submission(ROW, _Mail(f"Parcel {NUMBER}")), NAMES.renamer(2))
    assert copy.id == NAMES.renamer(2)(ROW) != ROW
    assert copy.mail.subject == f"Parcel {int(NUMBER) + 2}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2026-11-30T21:05:06.123456Z", "2026-11-28T20:05:06.123456Z"),
        ("2026-12-01T00:00:00+00:00", "2026-11-28T23:00:00+00:00"),
        ("1-1-1796074681048-abc", "1-1-1795898281048-abc"),
        ("20261201", "20261129"),
        ('{"at":1796074681048,"of":"20261201"}', '{"at":1795898281048,"of":"20261129"}'),
        ("0020261201", "0020261201"),
        ("a1796074681048", "a1796074681048"),
        ("00000000-0000-4000-8000-005000000000", "00000000-0000-4000-8000-005000000000"),
    ],
)
def test_every_form_of_a_time_ages(before: str, after: str) -> None:
    """Times as text, as milliseconds and as days; names that look like one stay."""
    old = aged(StorageState({"t": table(entity(before, At=before))}), timedelta(days=2, hours=1, microseconds=7))
    assert [(one.row, one.properties()["At"]) for one in old.tables["t"]] == [(after, after)]


def test_days_move_by_whole_ones() -> None:
    """A row that is older by hours keeps its partition, as it was keyed on the day on which it came."""
    old = aged(StorageState({"t": table(entity("r", "20261201"))}, {}, {"c": StoredContainer()}), timedelta(hours=20))
    assert [one.partition for one in old.tables["t"]] == ["20261201"]


def test_what_a_stopped_process_had_not_written_is_taken_off() -> None:
    """The entity of the row goes, that of the tenant stays."""
    stopped = state()
    without_entities(stopped, [NAMES], "worklist")
    assert [one.row for one in stopped.tables["worklist"]] == ["0-quota"]


@pytest.mark.parametrize(
    ("counts", "found"),
    [([10, 100, 1000], 1), ([1, 100, 10_000], 2), ([7, 7, 7], 0), ([0, 0, 0], 0), ([9, 9, 90], 1), ([9, 8, 8], 0)],
)
def test_the_steepest_part_is_the_exponent(counts: list[float], found: float) -> None:
    """A curve that bends upwards shows it between its largest sizes; one that falls does not grow."""
    assert exponent([10, 100, 1000], counts) == pytest.approx(found)


def test_a_filter_of_another_form_is_refused() -> None:
    """What this server would find otherwise than the service is not answered at all."""
    known = read_filter("PartitionKey eq 'a''b' and RowKey ge '1' and RowKey lt '2' and Count eq 5L")
    assert (known.partition, known.from_row, known.below_row) == ("a'b", "1", "2")
    assert known.holds({"Count": 5})
    assert not known.holds({})
    with pytest.raises(UnknownFilterError):
        read_filter("PartitionKey eq 'a' or PartitionKey eq 'b'")


def test_a_bound_on_the_value_leaves_the_ratio_alone() -> None:
    """A figure that is told beside a baseline may still have an absolute target."""
    figure = Figure(name="calls", value=400, unit="calls", baseline=10, target=Target("<=", 400, of_value=True))
    assert figure.is_met


async def test_two_builds_are_measured_side_by_side() -> None:
    """This checkout beside itself: both do the same work, so that every count is equal."""
    async with wire_stage() as stage:
        benches = SideBySide(stage, TODAY, Build("itself", ROOT))
        settled, *_ = await measure_new_words(benches, sizes=(3,))
        assert settled.value == settled.baseline
        assert stage.states() == {"submitted": 3}
        collected, *_ = await measure_after_stop(benches, sizes=(3,), reports=2)
        assert collected.value == collected.baseline
        assert stage.states() == {"submitted": 1, "pending": 3 + 2}


async def test_a_commit_that_git_does_not_know_is_told() -> None:
    """The words are git's own."""
    with pytest.raises(RuntimeError, match="no-such-commit"):
        async with exported("no-such-commit"):
            pass
