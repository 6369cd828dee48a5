"""What the app logs while it works: ids and hashes, never what a mail or an operator says."""

from collections.abc import Iterator

import pytest

from local.sample_tenant import DOMAINS, populate, sample_manual_messages
from shared.telemetry import LOGGER, log_events_only
from tests.support.events import levels_kept
from tests.support.reports import ask
from tests.support.stage import START, stage


@pytest.fixture
def events_only() -> Iterator[None]:
    """The log levels as the deployed app sets them, and afterwards as they were."""
    with levels_kept():
        log_events_only()
        yield


@pytest.mark.usefixtures("events_only")
async def test_no_log_line_tells_an_address_a_subject_or_a_token(caplog: pytest.LogCaptureFixture) -> None:
    """Over the whole sample tenant, every line is an event, free of addresses, subjects, URLs and tokens."""
    async with stage() as on:
        ids = populate(on.graph.tenant, START)
        messages = sample_manual_messages(START, ids)
        for message in messages:
            for name, content in message.blobs.items():
                await on.ports.containers["submission-content"].put(name, content)
        await ask(on, *(message.body for message in messages))
        outcomes = await on.finish(rows=55)
    lines = caplog.messages
    assert {record.name for record in caplog.records} == {LOGGER}
    assert len(lines) > 100
    secrets = {f"@{domain}" for domain in DOMAINS} | {"Bearer", "http://", "https://"}
    secrets |= {outcome.subject for outcome in outcomes if outcome.subject and len(outcome.subject) > 8}
    assert [line for line in lines if any(secret in line for secret in secrets)] == []
