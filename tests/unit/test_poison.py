"""A message that failed every attempt is put back while there is hope: the host deletes it behind this."""

import logging

import pytest

from local.memory_storage import MemoryQueue
from shared.usecases.outcomes.poison import AGAIN_AFTER_S, SENT_BACK_AFTER_S, send_back
from tests.support.outcomes import NOW
from tests.support.stage import StageClock


class TroubledQueue(MemoryQueue):
    """A queue that refuses so many messages before it takes one."""

    def __init__(self, clock: StageClock, refusals: int) -> None:
        super().__init__(clock)
        self.refusals = refusals

    async def send(self, body: str, delay_s: int = 0) -> None:
        """Refuse the message, or take it."""
        self.refusals -= 1
        if self.refusals >= 0:
            raise ConnectionError
        await super().send(body, delay_s)


@pytest.mark.expects_error_log
@pytest.mark.parametrize("refusals", [0, 1, len(SENT_BACK_AFTER_S) - 1, len(SENT_BACK_AFTER_S)])
async def test_a_message_is_put_back_once_the_queue_takes_it(refusals: int, caplog: pytest.LogCaptureFixture) -> None:
    """Tried again; only after the last try it is told as lost."""
    caplog.set_level(logging.INFO, "shared.telemetry")
    clock = StageClock(NOW)
    queue = TroubledQueue(clock, refusals)
    await send_back(queue, "a request", ValueError("away"), clock)
    is_lost = refusals == len(SENT_BACK_AFTER_S)
    assert [message.body for message in queue.messages] == ([] if is_lost else ["a request"])
    assert ("lost=True" in caplog.text) is is_lost
    if not is_lost:
        assert (queue.messages[0].visible_at - clock.time).total_seconds() == pytest.approx(AGAIN_AFTER_S, abs=1)
