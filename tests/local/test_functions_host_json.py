"""The app's own `host.json`: explained where an admin looks, and with the consequences that the page promises."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.functions_host import load_host_config
from tests.local.functions_host_stage import POISON, WORK, Stage, queue_app
from tests.support.platform_reads import leaves

ROOT = Path(__file__).resolve().parents[2]
HOST_JSON: dict[str, Any] = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "host.md").read_text(encoding="utf-8")


def has_number(value: object) -> bool:
    """Whether an admin would read the value as a number, a time or a version."""
    return not isinstance(value, bool) and any(character.isdigit() for character in str(value))


NUMBERS = [(path, value) for path, value in leaves(HOST_JSON) if has_number(value)]


def stage_of_the_app() -> Stage:
    """A stage whose host runs with the app's own numbers."""
    return Stage(queue_options=HOST_JSON["extensions"]["queues"], host_json={"functionTimeout": "00:10:00"})


def test_there_are_numbers() -> None:
    """The tests below look at the numbers that matter."""
    assert {"functionTimeout", "extensions.queues.batchSize"} <= {path for path, _ in NUMBERS}
    assert len(NUMBERS) >= 8


@pytest.mark.parametrize(("path", "value"), NUMBERS)
def test_every_number_is_explained(path: str, value: object) -> None:
    """Each number stands on the page with its value and unit, and with the app setting that overrides it."""
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{path}` |"))
    _, _, shown, unit, setting, _ = (cell.strip() for cell in row.split("|"))
    assert shown == f"`{value}`"
    assert unit
    assert setting.startswith("none;") or setting == f"`AzureFunctionsJobHost__{path.replace('.', '__')}`"


def test_every_queue_option_has_its_reason() -> None:
    """The section on reasons speaks of each queue option and of the timeout by name."""
    reasons = PAGE.partition("## Why these values")[2]
    for name in [*HOST_JSON["extensions"]["queues"], "functionTimeout"]:
        assert f"`{name}`" in reasons or f"`{name} " in reasons or f"**`{name}`" in reasons


@pytest.mark.parametrize("idle_s", [1.0, 61.7, 3600.3])
async def test_lone_message_is_picked_up_within_the_polling_interval(idle_s: float) -> None:
    """A message put while the host has been idle is run within `maxPollingInterval`, 5 s."""
    stage = stage_of_the_app()

    async def run(_msg: str) -> None:
        """Succeed."""

    await stage.queues.create(WORK)
    await stage.started(queue_app(run))
    await stage.clock.advance(idle_s)
    await stage.put("lone")
    assert await stage.clock.advance_until(lambda: bool(stage.named("function:start")), 60) <= 5


async def test_five_attempts_spread_over_two_minutes() -> None:
    """A message that always fails is tried five times over at least two minutes, then moved to poison."""
    stage = stage_of_the_app()

    async def fail(_msg: str) -> None:
        raise RuntimeError

    await stage.put("broken")
    await stage.started(queue_app(fail))
    await stage.clock.advance(600)
    starts = [event.at for event in stage.named("function:start")]
    assert len(starts) == 5
    assert 120 <= (starts[-1] - starts[0]).total_seconds() <= 150
    assert stage.queues.texts(POISON) == ["broken"]


async def test_at_most_four_run_at_once() -> None:
    """No more than 4 messages of a queue run at the same time on one instance."""
    stage = stage_of_the_app()

    async def run(_msg: str) -> None:
        await stage.clock.sleep(1 + stage.random.uniform(-0.5, 0.5))

    await stage.put(*[f"m{number}" for number in range(100)])
    await stage.started(queue_app(run))
    await stage.clock.advance(60)
    assert (stage.most_running(), stage.queues.texts(WORK)) == (4, [])


async def test_unreadable_batch_holds_up_two_messages() -> None:
    """One message with a control character holds up its own batch of 2 and nothing else."""
    stage = stage_of_the_app()
    received: list[str] = []

    async def run(msg: str) -> None:
        received.append(msg)

    await stage.put("bad\x01", *[f"m{number}" for number in range(20)])
    await stage.started(queue_app(run))
    await stage.clock.advance(60)
    assert received == [f"m{number}" for number in range(1, 20)]


def test_the_host_accepts_the_file() -> None:
    """Every value is within the platform's bounds, and the timeout within what a Consumption plan allows."""
    config = load_host_config(ROOT / "host.json", {})
    assert config.function_timeout is not None
    assert config.function_timeout <= timedelta(minutes=10)


def test_bodies_reach_our_code_unchanged() -> None:
    """The contract promises plain text or base64 to operators, so the host must decode nothing."""
    assert HOST_JSON["extensions"]["queues"]["messageEncoding"] == "none"
