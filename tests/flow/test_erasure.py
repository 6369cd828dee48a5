"""Erasing a person: afterwards their address is nowhere, and nothing was submitted twice for it."""

import base64
import json
from contextlib import suppress
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.sample_tenant import REPORTING_MAILBOX
from shared.adapters.storage import API_VERSION
from shared.bootstrap import CONTAINERS, QUEUES, TABLES
from shared.codecs.rows import read_outcome
from shared.domain.erasure import Role
from shared.domain.model import State
from shared.stores.erasures import RECORDS, Erasure, Erasures
from tests.support.report_formats import as_msg
from tests.support.reports import ANNA, BEN, OPERATOR, original, pass_time, posts, report
from tests.support.stage import ProcessStoppedError, Stage, Steps, assert_feed_is_whole, stage


async def ask(on: Stage, address: str = ANNA, role: Role = Role.REPORTER) -> Erasure:
    """Ask as the command line does."""
    request = Erasure(address=address, role=role, asked_at=on.clock.now())
    await Erasures(on.ports.tables["runstate"]).ask(request)
    return request


async def told(on: Stage) -> dict[str, str]:
    """Every text in every table, queue and blob, by where it is."""
    found: dict[str, str] = {}
    for table in TABLES:
        for row in await on.rows(table):
            found[f"{table} {row['PartitionKey']} {row['RowKey']}"] = json.dumps(row, default=str, ensure_ascii=False)
    service = QueueServiceClient.from_connection_string(on.connection or "", api_version=API_VERSION)
    async with service, BlobServiceClient.from_connection_string(on.connection or "", api_version=API_VERSION) as blobs:
        for queue in QUEUES:
            for number, message in enumerate(await service.get_queue_client(queue).peek_messages(32)):
                found[f"{queue} {number}"] = message.content
        for container in CONTAINERS:
            client = blobs.get_container_client(container)
            async for blob in client.list_blobs():
                content = await (await client.download_blob(blob.name)).readall()
                found[f"{container}/{blob.name}"] = decoded(content)
    return found


def decoded(content: bytes) -> str:
    """What a blob says, as Python's own mail parser and an Outlook file's letters have it."""
    mail = message_from_bytes(content, policy=policy.default)
    bodies = [part.get_payload(decode=True) for part in mail.walk() if not part.is_multipart()]
    texts = [content, *(body for body in bodies if isinstance(body, bytes))]
    subjects = [str(part["Subject"]) for part in mail.walk()]
    outlook = content.decode("utf-16-le", "ignore")
    return "\n".join([*(text.decode("utf-8", "ignore") for text in texts), *subjects, outlook])


async def places(on: Stage) -> list[str]:
    """Where the address still stands."""
    return [place for place, text in (await told(on)).items() if ANNA in text.lower() or ANNA in place]


def request(name: str, **facts: Any) -> str:
    """An operator's message about a mail that was uploaded."""
    body = {"schemaVersion": 1, "kind": "email", "category": "phishing", "requestedBy": OPERATOR}
    return json.dumps({**body, "recipient": BEN, "message": {"content": name}, **facts})


async def test_the_address_is_nowhere_when_it_is_done(storage_connection: str) -> None:
    """Rows of theirs, rows that name them, a rejected request, uploads and originals, encoded as mails may be."""
    async with stage(connection=storage_connection) as on:
        report(on, original("hers"))
        report(on, original("hers and bens"), reporter=BEN)
        encoded = base64.encodebytes(f"Dear {ANNA}".encode()).decode()
        bens = (
            original("bens", recipient=BEN)
            .decode()
            .replace("\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1)
        )
        report(on, (bens.split("\r\n\r\n")[0] + "\r\n\r\n" + encoded).encode(), reporter=BEN)
        uploads = on.ports.containers["submission-content"]
        await uploads.put(
            "case-1.eml", original("uploaded", subject=f"=?utf-8?b?{base64.b64encode(ANNA.encode()).decode()}?=")
        )
        await uploads.put("case-2.eml", original("others", recipient=BEN))
        await uploads.put("case-3.msg", as_msg(original("case-3", recipient=ANNA.title())))
        await on.ports.queues["manual-submissions"].send(request("case-1.eml", reason=f"{ANNA} called"))
        await on.ports.queues["manual-submissions"].send(request("case-2.eml"))
        await on.ports.queues["manual-submissions"].send(request("case-2.eml", requestedBy=ANNA, nonsense=1))
        await pass_time(on, timedelta(minutes=20), step=timedelta(minutes=5))
        rows, sent = await on.outcomes(), posts(on)
        assert len(rows) == 6
        assert len(await places(on)) > 10
        await ask(on)
        await on.app.settle_outcomes.run()
        assert await places(on), "settled within a day, they speak for others"
        on.clock.advance(hours=25)
        for _ in range(3):
            await on.round()
            on.clock.advance(hours=6)
        assert await places(on) == []
        after = {one.key: one for one in await on.outcomes()}
        assert {one.key: (one.state, one.verdict) for one in rows} == {
            key: (one.state, one.verdict) for key, one in after.items()
        }
        assert_feed_is_whole(list(after.values()), await on.feed())
        (hers,) = [one for one in rows if one.reporter == ANNA]
        assert (after[hers.key].subject, after[hers.key].sender, after[hers.key].item_key) == (None, None, None)
        (record,) = [row for row in await on.rows("runstate") if row["PartitionKey"] == RECORDS]
        assert record["ErasedOutcomes"] >= 3
        assert posts(on) == sent
        on.start_process()
        await pass_time(on, timedelta(hours=7), step=timedelta(hours=1))
        assert posts(on) == sent, "the report still lies in its mailbox and is known all the same"
        assert await uploads.get("case-2.eml", 10_000) is not None


async def test_an_open_row_is_finished_first() -> None:
    """A report under way reaches its verdict, then it is erased."""
    async with stage() as on:
        report(on, original("slow", delay_s=40_000))
        await pass_time(on, timedelta(minutes=10), step=timedelta(minutes=5))
        asked = await ask(on)
        await pass_time(on, timedelta(hours=2), step=timedelta(hours=1))
        (row,) = await on.outcomes()
        assert (row.state, row.reporter) == (State.SUBMITTED, ANNA)
        await pass_time(on, timedelta(hours=48), step=timedelta(hours=3))
        (row,) = await on.outcomes()
        assert (row.state, row.reporter) == (State.SETTLED, None)
        assert await Erasures(on.ports.tables["runstate"]).standing(asked.request_id) is None


async def test_a_reporting_mailbox_is_not_erased() -> None:
    """The app refuses, and says why to whoever waits."""
    async with stage() as on:
        report(on, original("mail"))
        await pass_time(on, timedelta(minutes=10), step=timedelta(minutes=5))
        asked = await ask(on, REPORTING_MAILBOX.upper(), Role.RECIPIENT)
        await pass_time(on, timedelta(hours=30), step=timedelta(hours=6))
        standing = await Erasures(on.ports.tables["runstate"]).standing(asked.request_id)
        assert standing is not None
        assert "reporting mailbox" in (standing.refusal or "")
        assert (await on.outcomes())[0].mailbox == REPORTING_MAILBOX


@pytest.mark.parametrize("after_effect", [False, True])
async def test_a_stop_anywhere_leaves_nothing_behind(after_effect: bool) -> None:
    """Whatever call a process ends at, the next one erases the rest."""
    number = 0
    while True:
        async with stage() as on:
            report(on, original("hers"))
            await pass_time(on, timedelta(minutes=10), step=timedelta(minutes=5))
            on.clock.advance(days=2)
            await on.round()
            await ask(on)
            on.clock.advance(hours=2)
            steps = Steps(stop_at=number, after_effect=after_effect)
            on.start_process(steps)
            with suppress(ProcessStoppedError):
                await on.app.settle_outcomes.run()
            on.start_process()
            for _ in range(3):
                on.clock.advance(hours=6)
                await on.app.settle_outcomes.run()
            for table in TABLES:
                assert ANNA not in json.dumps(await on.rows(table), default=str)
            assert await on.ports.containers["evidence"].names("", None) == ([], None)
            assert [read_outcome(row).state for row in await on.rows("outcomes")] == [State.SETTLED]
            if not steps.is_stopped:
                assert number > 20
                return
        number += 1
