"""What a month costs: quantities measured on this machine, and the arithmetic from them to money.

`python -m local.cost --reports-a-day 100`. Storage requests and the app's own log lines are counted here, on Azurite
and the Graph simulator; runs follow from the schedules, and what the Functions host makes of a line or a run is taken
from a recording of the real one. Unit prices are not ours to know: the ones built in are
examples and told as such, and `--price NAME=VALUE` puts yours in their place.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from local.bench.stand_ins import StandIns, start_stand_ins
from local.bench.transactions import TOGETHER, CountedApp, count_life, counted_app
from shared.telemetry import LOGGER

DAYS = 30
RUNS_A_DAY = {"collect_reports": 24 * 120, "dispatch": 24 * 60, "settle_outcomes": 24 * 12}
"""With the template's schedules: every half minute, every minute, every five minutes."""
HEARTBEAT_LINES = 1
"""`run_finished`, which `function_app.py` writes at the end of each timer's run."""
SECONDS_A_RUN = 1.0
"""Flex Consumption bills an execution for a second at least (Flex Consumption documentation, "Billing"); few of ours
take longer."""
LOG_BYTES_A_ROW = 940
"""What a line or an invocation's request takes on the way to Application Insights, with all that the host adds: an idle
app that collected every two minutes told 480 items of together 0.45 MB in an hour (host 4.1037, Python worker 4.34.0,
levels of host.json, 30 November 2026). Log Analytics bills what its tables hold of it, which only a bill can tell."""
EXAMPLE_PRICES = {
    "GB_SECOND": 0.000026,
    "MILLION_EXECUTIONS": 0.40,
    "FREE_GB_SECONDS": 100_000,
    "FREE_EXECUTIONS": 250_000,
    "10000_TABLE_AND_QUEUE_REQUESTS": 0.0004,
    "LOG_GB": 2.76,
    "FREE_LOG_GB": 5,
    "ALERT_RULE": 1.50,
}
"""US dollars: what we remember of pay-as-you-go list prices in the United States, to show the order of magnitude."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was counted here: storage requests and log lines of a run that finds nothing, and of a submission."""

    requests_idle: dict[str, int]
    requests_a_submission: float
    lines_idle: dict[str, int]
    lines_a_submission: float


@dataclass(frozen=True, slots=True)
class Usage:
    """A tenant's month."""

    reports_a_day: int
    instance_gb: float
    alert_rules: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bill: how much of what, by what price, less what is free."""

    name: str
    quantity: float
    unit: str
    price: float
    free: float = 0.0

    @property
    def cost(self) -> float:
        """In the currency of the prices."""
        return max(0.0, self.quantity - self.free) * self.price


class _CountedLog(logging.Handler):
    """How many lines the app writes to its log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count one line."""
        del record
        self._lines += 1

    def take(self) -> int:
        """How many there were since it was last asked."""
        lines, self._lines = self._lines, 0
        return lines


async def measure() -> Measured:
    """Count runs that find nothing, and the life of 100 submissions that come together."""
    log, logger = _CountedLog(), logging.getLogger(LOGGER)
    logger.addHandler(log)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    async with start_stand_ins() as stand_ins:
        idle = await _idle_runs(stand_ins, log)
        spent = await count_life(stand_ins, TOGETHER)
    requests, lines = ({name: one[which] for name, one in idle.items()} for which in (0, 1))
    return Measured(requests, sum(spent.values()) / TOGETHER, lines, log.take() / TOGETHER)


async def _idle_runs(stand_ins: StandIns, log: _CountedLog) -> dict[str, tuple[int, int]]:
    """Requests and lines of each timer's second run over an empty mailbox: the first makes its checkpoint and row."""
    await stand_ins.refill(0, 0)
    async with AsyncExitStack() as resources:
        counted = await counted_app(stand_ins, stand_ins.azurite.new_account(), resources)
        await _run_timers(counted, log)
        return await _run_timers(counted, log)


async def _run_timers(counted: CountedApp, log: _CountedLog) -> dict[str, tuple[int, int]]:
    """What each timer's run asks of storage and writes to the log, done as `function_app.py` does it."""
    app = counted.app
    uses: dict[str, list[Callable[[], Awaitable[object]]]] = {
        "collect_reports": [app.collect_reports.run],
        "dispatch": [app.dispatch.run],
        "settle_outcomes": [app.settle_outcomes.run, app.backlog.run, app.examinations.begin],
    }
    spent: dict[str, tuple[int, int]] = {}
    for name, steps in uses.items():
        counted.tally.take()
        log.take()
        for step in steps:
            await step()
        await app.heartbeats.ended(name, 1, 0.0)  # always written: one of a quiet timer is written now and then
        spent[name] = counted.tally.take(), log.take() + HEARTBEAT_LINES
    return spent


def bill(measured: Measured, usage: Usage, prices: dict[str, float]) -> list[Line]:
    """A month's lines: the arithmetic, and nothing else."""
    submissions = usage.reports_a_day * DAYS
    runs = sum(RUNS_A_DAY.values()) * DAYS
    executions = runs + submissions
    idle = sum(RUNS_A_DAY[name] * DAYS * count for name, count in measured.requests_idle.items())
    requests = idle + submissions * measured.requests_a_submission
    lines = sum(RUNS_A_DAY[name] * DAYS * count for name, count in measured.lines_idle.items())
    rows = executions + lines + submissions * measured.lines_a_submission
    return [
        Line(
            "compute",
            executions * SECONDS_A_RUN * usage.instance_gb,
            "GB-s",
            prices["GB_SECOND"],
            prices["FREE_GB_SECONDS"],
        ),
        Line(
            "executions",
            executions / 1e6,
            "million",
            prices["MILLION_EXECUTIONS"],
            prices["FREE_EXECUTIONS"] / 1e6,
        ),
        Line("storage requests", requests / 1e4, "x 10,000", prices["10000_TABLE_AND_QUEUE_REQUESTS"]),
        Line("logs", rows * LOG_BYTES_A_ROW / 1e9, "GB", prices["LOG_GB"], prices["FREE_LOG_GB"]),
        Line("alert rules", usage.alert_rules, "rules", prices["ALERT_RULE"]),
    ]


def write(measured: Measured, usage: Usage, lines: Sequence[Line]) -> str:
    """The whole answer as text."""
    idle, written = (
        ", ".join(f"{name} {count}" for name, count in one.items())
        for one in (measured.requests_idle, measured.lines_idle)
    )
    head = (
        f"Measured here: storage requests of a run that finds nothing: {idle};\n"
        f"of a submission {measured.requests_a_submission:.2f}; log lines of such runs: {written}; of a submission "
        f"{measured.lines_a_submission:.2f}.\n"
        f"Each line and each run is a row of {LOG_BYTES_A_ROW:,} bytes, as recorded from the real host.\n"
        f"A month of {usage.reports_a_day:,} submissions a day, instances of {usage.instance_gb:g} GB. Prices are "
        f"examples in US dollars: put yours in with --price.\n"
    )
    table = "\n".join(
        f"  {line.name:<18}{line.quantity:>12,.2f} {line.unit:<9} less {line.free:>10,.2f} free  x {line.price:<9g}"
        f"= {line.cost:>8,.2f}"
        for line in lines
    )
    return f"{head}{table}\n  {'together':<70}= {sum(line.cost for line in lines):>8,.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, calculate and print; returns the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.cost", description="What a month in Azure costs.")
    parser.add_argument("--reports-a-day", type=int, default=100)
    parser.add_argument("--instance-gb", type=float, default=2.0, help="memory of an instance, 0.5, 2 or 4")
    parser.add_argument("--alert-rules", type=int, default=0, help="alert rules deployed")
    parser.add_argument("--price", action="append", default=[], metavar="NAME=VALUE", type=_price)
    asked = parser.parse_args(arguments)
    usage = Usage(asked.reports_a_day, asked.instance_gb, asked.alert_rules)
    measured = asyncio.run(measure())
    print(write(measured, usage, bill(measured, usage, EXAMPLE_PRICES | dict(asked.price))))
    return 0


def _price(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    if name not in EXAMPLE_PRICES:
        raise argparse.ArgumentTypeError(f"no price {name}; there are {', '.join(EXAMPLE_PRICES)}")
    return name, float(value)


if __name__ == "__main__":
    sys.exit(main())
