"""Requests on their way to the app: content first, then the message, then a marker that it was sent.

The invariant: a marker stands only for a message that was enqueued. A stop between the two enqueues the message a
second time on the next run, which is harmless: it bears the same `requestId` and content, and the intake takes those
once. A marker goes with its container's 30 days; so does its harm, for the same reason.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..ports import Clock
from .contents import Content, UnusableContent, read_content
from .requests import Checked, Ready, Refused, Repeated

if TYPE_CHECKING:
    from ..adapters.storage import AzureBlobs, AzureQueue

AT_ONCE = 16
"""How many requests are under way at a time."""
_DRAIN_S = 5.0
_MOST_MARKER_BYTES = 1_000


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that is on the queue, or was before. `since` (aware UTC) is when, for whoever looks for its row."""

    place: str
    request_id: str
    submission_id: str
    since: datetime
    is_new: bool


Fate = Sent | Refused | Repeated


class Sender:
    """Sends one request at most once from here, or, with `again`, once more; what that changes, the intake decides."""

    def __init__(self, queue: AzureQueue, uploads: AzureBlobs, clock: Clock, *, again: bool) -> None:
        self._queue = queue
        self._uploads = uploads
        self._clock = clock
        self._again = again

    async def send(self, checked: Checked) -> Fate:
        """Send what is ready; everything else is its own fate. Azure's errors rise as they are."""
        if not isinstance(checked, Ready):
            return checked
        marked = await self._marker(checked)
        if marked is not None and marked[0] != checked.content_digest:
            detail = "requestId: was sent with other content before; give another one"
            return Refused(checked.place, "request_id_conflict", detail)
        if marked is not None and not self._again:
            return Sent(checked.place, checked.request_id, checked.submission_id, marked[1], is_new=False)
        return await self._send(checked, None if marked is None else marked[1])

    async def _send(self, ready: Ready, sent_before_at: datetime | None) -> Fate:
        try:
            await self._upload(ready.content)
        except UnusableContent as error:
            return Refused(ready.place, error.reason, str(error))
        await self._queue.send(ready.body)
        now = self._clock.now()
        marker = {"contentDigest": ready.content_digest, "sentAt": now.isoformat()}
        await self._uploads.put_new(_marker_name(ready), json.dumps(marker).encode())
        return Sent(ready.place, ready.request_id, ready.submission_id, sent_before_at or now, is_new=True)

    async def _upload(self, content: Content | None) -> None:
        """Put the content there, also where it is already: that begins its 30 days anew."""
        if content is None:
            return
        found, octets = read_content(content.path)
        if found.name != content.name:
            raise UnusableContent("changed", "path: the file has changed meanwhile; send it again")
        await self._uploads.put(content.name, octets)

    async def _marker(self, ready: Ready) -> tuple[str, datetime] | None:
        """The digest and the time of what was sent under this `requestId`; None where nothing was."""
        found = await self._uploads.get(_marker_name(ready), _MOST_MARKER_BYTES)
        try:
            told = json.loads(found or b"")
            return str(told["contentDigest"]), datetime.fromisoformat(told["sentAt"]).astimezone(UTC)
        except (ValueError, LookupError, TypeError):
            return None


def _marker_name(ready: Ready) -> str:
    # By the submission id, which stands for the `requestId`: operators may choose `..`, which is no name for a blob.
    return f"requests/{ready.submission_id}"


async def send_all(checked: Iterator[Checked], sender: Sender, tell: Callable[[Fate], None]) -> None:
    """Send everything, `AT_ONCE` at a time, and tell each fate in order.

    Whatever ends it early, what was under way is given a moment to finish and is told; the rest was not sent.
    """
    under_way: deque[asyncio.Task[Fate]] = deque()
    try:
        for one in checked:
            if len(under_way) == AT_ONCE:
                tell(await _first(under_way))
            under_way.append(asyncio.create_task(sender.send(one)))
        while under_way:
            tell(await _first(under_way))
    finally:
        await _let_finish(under_way, tell)


async def _first(under_way: deque[asyncio.Task[Fate]]) -> Fate:
    await asyncio.wait({under_way[0]})  # a stop of ours must not stop the task, as awaiting it would
    return under_way.popleft().result()


async def _let_finish(under_way: deque[asyncio.Task[Fate]], tell: Callable[[Fate], None]) -> None:
    if not under_way:
        return
    done, late = await asyncio.wait(under_way, timeout=_DRAIN_S)
    for task in late:
        task.cancel()
    for task in under_way:
        if task in done and task.exception() is None:
            tell(task.result())
