"""Azurite and a Graph simulator, each in a process of its own, for one `with` block.

The simulator answers at once, takes any number of submissions and has every verdict ready, so that what is measured
is the app. Nothing of either is left behind the block.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from azure.data.tables.aio import TableServiceClient

from local.azurite import Azurite
from local.graph_simulator import ItemAttachment, MailItem, QuotaLimits, SimulatorControl
from local.sample_tenant import DOMAINS, REPORTING_MAILBOX, TENANT_ID

ROOT = Path(__file__).resolve().parent.parent.parent
PLENTY = QuotaLimits(tenant_per_15_min=1_000_000, tenant_per_24_h=1_000_000)
MOST_AT_ONCE = 150
"""Submissions that one dispatch admits when nothing is reserved: the largest round that ends dispatched at once."""
_READY_WITHIN_S = 30


MARKUP = (
    b'<table width="100%" cellpadding="0" cellspacing="0" style="border-collapse:collapse;font-family:Arial">'
    b'<tr><td align="center" style="padding:24px 16px;background-color:#f4f4f4;color:#333333;line-height:150%">'
    b"Thank you.</td></tr></table>\r\n"
)
"""Most of a mail is what nobody sees."""
FROM_INSIDE = (("X-MS-Exchange-Organization-AuthAs", "Internal"),)
"""What Exchange writes into mail from inside; no mail is without headers."""


@dataclass(frozen=True, slots=True)
class StandIns:
    """The running stand-ins."""

    azurite: Azurite
    graph_url: str
    graph: SimulatorControl

    async def refill(self, count: int, size_bytes: int) -> None:
        """Forget everything at Graph and put that many reports into the mailbox, each with an original of that size."""
        await self.graph.reset()
        await self.graph.set_quota_limits(PLENTY)
        await self.graph.set_usual_verdicts(0, 0)
        await self.graph.add_mailbox(REPORTING_MAILBOX)
        for number in range(count):
            await self.deliver(number, size_bytes)

    async def deliver(self, number: int, size_bytes: int) -> None:
        """Put one more report into the mailbox."""
        await self.graph.deliver(REPORTING_MAILBOX, _report(number, size_bytes, datetime.now(UTC)))

    async def states(self, connection: str) -> Counter[str]:
        """How many outcome rows of an account are in each state."""
        async with TableServiceClient.from_connection_string(connection) as service:
            rows = service.get_table_client("outcomes").list_entities(select=["State"])
            return Counter([str(row["State"]) async for row in rows])

    def environment(self, connection: str) -> dict[str, str]:
        """The app's settings for an account of this Azurite."""
        return settings_of(connection, self.graph_url)


def settings_of(connection: str, graph_url: str) -> dict[str, str]:
    """The app's settings for an account and a Graph, with no quota kept back."""
    return {
        "AzureWebJobsStorage": connection,
        "SubmissionsStorage": connection,
        "TENANT_ID": TENANT_ID,
        "REPORTING_MAILBOXES": REPORTING_MAILBOX,
        "TENANT_DOMAINS": ",".join(DOMAINS),
        "GRAPH_BASE_URL": graph_url,
        "QUOTA_PER_15_MIN": str(MOST_AT_ONCE),
        "QUOTA_RESERVED_FOR_PEOPLE": "0",
        "QUOTA_RESERVED_FOR_URGENT": "0",
        "COLLECT_SCHEDULE": "0 */2 * * * *",
        "DISPATCH_SCHEDULE": "0 * * * * *",
        "SETTLE_SCHEDULE": "0 */5 * * * *",
    }


@asynccontextmanager
async def start_stand_ins() -> AsyncIterator[StandIns]:
    """Yield both, serving on free ports."""
    async with Azurite() as azurite, _simulator() as graph_url, SimulatorControl(graph_url) as graph:
        yield StandIns(azurite, graph_url, graph)


@asynccontextmanager
async def _simulator() -> AsyncIterator[str]:
    with TemporaryDirectory() as folder:
        announced = Path(folder) / "url"
        command = ["-m", "local.graph_simulator", "--port", "0", "--announce", str(announced), "--domain", DOMAINS[0]]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                while not announced.exists():  # noqa: ASYNC110 - another process cannot set an Event of ours
                    await asyncio.sleep(0.02)
            yield announced.read_text(encoding="utf-8")
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _report(number: int, size_bytes: int, now: datetime) -> MailItem:
    """A report of the built-in button, with an original of that size and of its own."""
    network_message_id = f"{number:08x}-0000-4000-8000-000000000000"
    sender, subject = "billing@parcels.example", f"Your parcel {number} is waiting"
    received_at = now - timedelta(hours=1) + timedelta(milliseconds=number)
    return MailItem(
        from_address=f"reporter{number}@{DOMAINS[0]}",
        subject=f"3|{network_message_id}|192.0.2.7|{sender}|({subject})",
        received_at=received_at,
        internet_message_id=f"<report-{number}@{DOMAINS[0]}>",
        headers=FROM_INSIDE,
        attachments=(ItemAttachment(subject, _original(number, network_message_id, sender, subject, size_bytes)),),
    )


def _original(number: int, network_message_id: str, sender: str, subject: str, size_bytes: int) -> bytes:
    headers = (
        f"Received: from mail.parcels.example (192.0.2.7) by mx.{DOMAINS[0]}; Mon, 23 Nov 2026 08:00:00 +0000\r\n"
        f"X-MS-Exchange-Organization-Network-Message-Id: {network_message_id}\r\n"
        f"From: Parcels <{sender}>\r\nTo: reporter{number}@{DOMAINS[0]}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{number}@parcels.example>\r\nDate: Mon, 23 Nov 2026 08:00:00 +0000\r\n"
        "Content-Type: text/html; charset=utf-8\r\n\r\n"
        f"<p>Pay the customs fee for {_goods(number)} today, or it goes back to the sender.</p>\r\n"
    ).encode()
    return (headers + MARKUP * (size_bytes // len(MARKUP) + 1))[:size_bytes]


def _goods(number: int) -> str:
    """Six words of that number's own: no two originals are one campaign."""
    octets = hashlib.sha256(str(number).encode()).digest()
    return " ".join(
        "".join(chr(ord("a") + octet % 26) for octet in octets[start : start + 5]) for start in range(0, 30, 5)
    )
