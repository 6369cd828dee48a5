"""The queue trigger: fetch, run, and delete, release or poison each message.

After `QueueListener` and `QueueProcessor` of the storage extension and the recorded traces. The invariant: a message
is deleted only after its function succeeded or its copy is in the poison queue.
"""

import asyncio
import logging

from local.functions_host.backoff import PollingBackoff
from local.functions_host.binding import BodyDecodingError, decode_body
from local.functions_host.clock import Clock, Random, sleep_unless
from local.functions_host.config import QueueOptions
from local.functions_host.index import QueueFunction
from local.functions_host.lease import VISIBILITY_TIMEOUT_S, MessageLease
from local.functions_host.queue_service import QueueNotFoundError, QueueService, QueueServiceError, ReceivedMessage
from local.functions_host.runner import FunctionRunner
from local.functions_host.worker import InvocationFailedError

_POISON = "-poison"
_LONGEST_QUEUE_NAME = 63
_logger = logging.getLogger(__name__)


def poison_queue_of(queue: str) -> str | None:
    """The queue for messages that failed too often; None for a poison queue itself or a name too long for one."""
    if queue.endswith(_POISON) or len(queue + _POISON) > _LONGEST_QUEUE_NAME:
        return None
    return queue + _POISON


class QueueListener:
    """Listens to one queue for one function."""

    def __init__(
        self,
        function: QueueFunction,
        options: QueueOptions,
        service: QueueService,
        runner: FunctionRunner,
        clock: Clock,
        random: Random,
    ) -> None:
        self._function = function
        self._options = options
        self._service = service
        self._runner = runner
        self._clock = clock
        self._backoff = PollingBackoff(options.max_polling_interval.total_seconds(), random)
        self._poison_queue = poison_queue_of(function.queue)
        self._queue_exists = False
        self._stopping = asyncio.Event()
        self._processing: set[asyncio.Task[None]] = set()
        self._fetching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._fetching = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Fetch nothing more and return when every running function is done and its message settled.

        No time limit, as recorded: the drain outlasted the host's own shutdown timeout.
        """
        self._stopping.set()
        await self._ended()

    async def kill(self) -> None:
        """Drop everything where it stands: running functions are cut off, no message is touched."""
        for task in (self._fetching, *self._processing):
            if task is not None:
                task.cancel()
        await self._ended()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._processing.discard(task)
        if not task.cancelled():
            task.result()  # Whatever is not handled by now is a bug; asyncio reports it.

    async def _ended(self) -> None:
        if self._fetching is not None:
            await asyncio.wait({self._fetching})
            if not self._fetching.cancelled():
                self._fetching.result()
        if self._processing:
            await asyncio.wait(self._processing)

    async def _listen(self) -> None:
        while not self._stopping.is_set():
            if await self._fetch():
                self._backoff.reset()
                await self._wait_for_threshold()
            else:
                await sleep_unless(self._clock, self._backoff.next_delay_s(), self._stopping)

    async def _fetch(self) -> bool:
        """Take a batch and start its functions; False if there was none, for whatever reason."""
        queue = self._function.queue
        try:
            self._queue_exists = self._queue_exists or await self._service.exists(queue)
            if not self._queue_exists:
                return False
            batch = await self._service.get(queue, self._options.batch_size, VISIBILITY_TIMEOUT_S)
        except QueueServiceError as error:
            # Any error makes the real listener check for the queue again. It stops the host on all but 404, 409 and
            # 5xx; a stand-in for development rather keeps trying while the emulator is away.
            self._queue_exists = False
            _logger.warning("queue %s could not be read: %s", queue, type(error).__name__)
            return False
        for message in batch:
            task = asyncio.create_task(self._process(message))
            self._processing.add(task)
            task.add_done_callback(self._forget)
        return bool(batch)

    async def _wait_for_threshold(self) -> None:
        while len(self._processing) > self._options.new_batch_threshold and not self._stopping.is_set():
            await asyncio.wait(self._processing, return_when=asyncio.FIRST_COMPLETED)

    async def _process(self, message: ReceivedMessage) -> None:
        lease = MessageLease(self._service, self._function.queue, message, self._clock)
        try:
            if message.dequeue_count > self._options.max_dequeue_count:
                await self._poison(message, lease)
            else:
                await self._run(message, lease)
        except QueueServiceError as error:
            # The message stays hidden and comes back when its 10 minutes are over.
            _logger.warning("message %s could not be settled: %s", message.id, type(error).__name__)

    async def _run(self, message: ReceivedMessage, lease: MessageLease) -> None:
        try:
            body = decode_body(message.text, self._options.message_encoding)
        except BodyDecodingError:
            # Extension 5.x moves what it cannot decode to the poison queue at the first get.
            await self._poison(message, lease)
            return
        try:
            async with lease.renewed():
                await self._runner.run_message(self._function, message, body)
        except InvocationFailedError:
            await self._give_up_or_release(message, lease)
        else:
            await lease.delete()

    async def _give_up_or_release(self, message: ReceivedMessage, lease: MessageLease) -> None:
        if self._poison_queue is None:
            return  # The real listener lets the message sit out its 10 minutes, to prevent a fast endless loop.
        if message.dequeue_count >= self._options.max_dequeue_count:
            await self._poison(message, lease)
        else:
            await lease.release(int(self._options.visibility_timeout.total_seconds()))

    async def _poison(self, message: ReceivedMessage, lease: MessageLease) -> None:
        if self._poison_queue is None:
            return
        _logger.warning("message %s goes to %s", message.id, self._poison_queue)
        try:
            await self._service.put(self._poison_queue, message.text)
        except QueueNotFoundError:
            await self._service.create(self._poison_queue)
            await self._service.put(self._poison_queue, message.text)
        await lease.delete()
