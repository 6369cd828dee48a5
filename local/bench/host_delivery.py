"""The queue `submissions`, delivered as the host does it: a batch at a time, so many at once, deleted when done.

The numbers are those of the app's own `host.json`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.bench.stand_ins import ROOT
from local.functions_host import QueueOptions, load_host_config
from shared.codecs.submission_message import SubmissionMessage, read_message

Handle = Callable[[SubmissionMessage], Awaitable[None]]


def queue_options() -> QueueOptions:
    """The queue numbers of `host.json`."""
    return load_host_config(ROOT / "host.json", os.environ).queues


def most_at_once() -> int:
    """How many messages of a queue one instance handles at once."""
    options = queue_options()
    return options.batch_size + options.new_batch_threshold


async def deliver(queue: QueueClient, handle: Handle) -> int:
    """Handle and delete every visible message; returns how many there were."""
    batch_size, delivered = queue_options().batch_size, 0
    at_once = asyncio.Semaphore(most_at_once())

    async def settle(message: QueueMessage) -> None:
        async with at_once:
            await handle(read_message(message.content))
            await queue.delete_message(message)

    async with asyncio.TaskGroup() as group:
        while batch := await take_batch(queue, batch_size):
            delivered += len(batch)
            for message in batch:
                group.create_task(settle(message))
    return delivered


async def take_batch(queue: QueueClient, size: int) -> list[QueueMessage]:
    """Up to `size` messages, in one request."""
    pages = queue.receive_messages(messages_per_page=size, visibility_timeout=600).by_page()
    page = await anext(pages, None)
    return [] if page is None else [message async for message in page]


async def handle_all(bodies: list[str], handle: Handle) -> None:
    """Handle these messages, as many at once as the host would."""
    at_once = asyncio.Semaphore(most_at_once())

    async def run(body: str) -> None:
        async with at_once:
            await handle(read_message(body))

    await asyncio.gather(*(run(body) for body in bodies))
