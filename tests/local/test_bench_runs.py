"""Every benchmark runs, on a size that takes a second or two; what it measures is not judged here."""

from local.bench import (
    campaign,
    cold_start,
    command_line,
    memory,
    parsing,
    standstill,
    throughput,
    transactions,
)
from local.bench.figures import Figure
from local.bench.stand_ins import start_stand_ins
from local.bench.storms import Storm, run_storm
from local.bench.windows import SHORT, fullest_window


def units(figures: list[Figure]) -> list[str]:
    """Return the figures' units."""
    return [figure.unit for figure in figures]


async def test_cold_start() -> None:
    """One interpreter of each kind, one first invocation; no generated Graph model is imported."""
    figures = await cold_start.measure(interpreters=1)
    assert [figure.unit for figure in figures[:3]] == ["s processor time"] * 2 + ["s"]
    assert figures[-1].value == 0


async def test_command_line() -> None:
    """A short history beside its last day: every command prints the same of both, and asks as often."""
    size = command_line.Size(rows=500, events=200, waiting=3, long_backlog=10, starts=1, rounds=1)
    figures = {figure.name: figure for figure in await command_line.measure(size)}
    assert figures["export, time"].note == "median of 1; 7 lines"
    assert [figure.ratio for name, figure in figures.items() if name.endswith(", requests")] == [1] * 5
    assert all(figure.value > 0 for figure in figures.values())


async def test_parsing() -> None:
    """Every mail is read, and the parser is not there before it is imported."""
    reading, importing = await parsing.measure(rounds=1, interpreters=1)
    assert reading.value > 0
    assert importing.note.startswith("best of 1; ")
    assert not importing.note.startswith("best of 1; 0 modules")


async def test_throughput() -> None:
    """Two reports, once: all are dispatched and submitted, and the raw operations can be done again."""
    assert units(await throughput.measure(throughput.Size(reports=2, rounds=1))) == ["reports/s", "reports/s"]


async def test_transactions() -> None:
    """Two reports come to their verdicts, and every stage has its requests counted."""
    async with start_stand_ins() as stand_ins:
        spent = await transactions.count_life(stand_ins, 2)
    assert list(spent) == list(transactions.STAGES)
    assert min(spent.values()) > 0


async def test_standstill() -> None:
    """A hundred and twenty reports: every one has its row, and the other mailbox's did not wait for them."""
    durable, longest, second, rows, refused = await standstill.measure(reports=120)
    assert (durable.is_met, longest.is_met, rows.value, refused.value) == (True, True, 121, 0)
    assert 0 < second.value < durable.value * 60


async def test_campaign() -> None:
    """Sixty reports, more than a page: three submissions, sixty verdicts, lookups that do not grow, no false pair."""
    rate, _, posts, verdicts, _, _, lookup, *told_apart = await campaign.measure(reports=60, old_campaigns=150)
    assert rate.unit == "reports/s"
    assert (posts.value, verdicts.value) == (3, 60)
    assert lookup.ratio == 1
    assert [figure.is_met for figure in told_apart] == [True] * 4


async def test_memory() -> None:
    """A report goes through a process of its own, which tells its memory."""
    [figure] = await memory.measure(large_bytes=100_000)
    assert figure.unit == "MB"


async def test_a_storm() -> None:
    """More rows than a window admits: all arrive, in two bursts, and none is refused."""
    course = await run_storm(Storm(waiting=130, earlier=10, urgent=2))
    assert (len(course.earlier), len(course.waiting), len(course.urgent_waits_s)) == (10, 130, 2)
    assert course.waiting[120] - course.waiting[0] >= SHORT
    assert fullest_window(course.waiting, SHORT) == 120
    assert course.refusals == 0
