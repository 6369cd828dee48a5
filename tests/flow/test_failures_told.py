"""Whatever goes wrong is told, once: each way in which a row is held up or lost has its event."""

from datetime import timedelta
from typing import Any

import pytest

from local.graph_simulator.faults import Scope, answer_status, reset_connection, throttle
from local.memory_storage import MemoryBlobs
from local.sample_tenant import REPORTING_MAILBOX
from shared.domain.model import State
from shared.telemetry import Event, fingerprint
from tests.support.reports import (
    ANNA,
    ask,
    email_request,
    listen,
    only_row,
    original,
    pass_time,
    report,
)
from tests.support.stage import ProcessStoppedError, Stage, Steps, stage

POST = Scope(method="POST")
ONE_POST = Scope(method="POST", times=1)


def told(caplog: pytest.LogCaptureFixture, event: Event) -> list[dict[str, Any]]:
    """The fields of each event of that kind."""
    records = [vars(record) for record in caplog.records if vars(record).get("event") == event.label]
    return [{field: record[field] for field in event.fields if field in record} for record in records]


async def submit_one(on: Stage) -> None:
    """Collect what there is and deliver its message."""
    await on.app.collect_reports.run()
    await on.app.dispatch.run()
    await on.deliver_submissions()


async def test_a_throttled_submission_is_told_once_and_its_delay_once(caplog: pytest.LogCaptureFixture) -> None:
    """`throttled` tells of the tenant, `attempt_delayed` of the row; neither twice."""
    listen(caplog)
    async with stage() as on:
        report(on, original("one"))
        on.graph.control.add_fault(throttle("300", ONE_POST))
        await submit_one(on)
        (throttled,), (delayed,) = told(caplog, Event.THROTTLED), told(caplog, Event.ATTEMPT_DELAYED)
        assert (throttled["status"], throttled["seconds"], throttled["reason"]) == (429, 300, "throttled")
        assert (delayed["reason"], delayed["code"], delayed["seconds"]) == ("throttled", throttled["code"], 0)


@pytest.mark.parametrize(("status", "code"), [(401, "InvalidAuthenticationToken"), (503, "serviceNotAvailable")])
async def test_a_mailbox_that_does_not_open_at_submit_is_told(
    status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator's mail is looked up when its turn comes: what Graph says then is told with its status."""
    listen(caplog)
    async with stage() as on:
        on.graph.tenant.add_mailbox(ANNA)
        lookups = Scope(method="GET", path=ANNA.partition("@")[0])
        on.graph.control.add_fault(answer_status(status, lookups, code=code))
        await ask(on, email_request({"mailbox": ANNA, "internetMessageId": "<no@parcel-lure.test>"}))
        await on.round()
        at_intake, at_submit = told(caplog, Event.MAILBOX_UNREACHABLE)
        assert at_intake["mailbox"] == at_submit["mailbox"] == fingerprint(ANNA)
        assert at_intake["status"] == at_submit["status"] == status
        assert [one["reason"] for one in told(caplog, Event.ATTEMPT_DELAYED)] == ["mailbox_silent"]


async def test_a_mailbox_outside_the_grant_is_no_alarm(caplog: pytest.LogCaptureFixture) -> None:
    """403 for a mailbox that an operator names is least privilege at work: the request is rejected, nothing else."""
    listen(caplog)
    async with stage() as on:
        on.graph.tenant.add_mailbox(ANNA)
        on.graph.control.add_fault(answer_status(403, Scope(method="GET", path=ANNA.partition("@")[0])))
        await ask(on, email_request({"mailbox": ANNA, "internetMessageId": "<no@parcel-lure.test>"}))
        await on.round()
        assert told(caplog, Event.MAILBOX_UNREACHABLE) == []
        assert [one["reason"] for one in told(caplog, Event.REQUEST_REJECTED)] == ["mailbox_not_readable"]


async def test_evidence_that_is_gone_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A row that is rejected for want of its content says so when it happens."""
    listen(caplog)
    async with stage() as on:
        report(on, original("one"))
        await on.app.collect_reports.run()
        evidence = on.ports.containers["evidence"]
        assert isinstance(evidence, MemoryBlobs)
        evidence.blobs.clear()
        await on.app.dispatch.run()
        await on.deliver_submissions()
        row = await only_row(on)
        assert row.state is State.REJECTED
        (gone,) = told(caplog, Event.MATERIAL_GONE)
        assert gone == {"submission_id": row.key.submission_id, "reason": "evidence_gone"}


async def test_a_row_that_never_has_an_effect_is_given_up_aloud(caplog: pytest.LogCaptureFixture) -> None:
    """Three POSTs that came to nothing: lost three times, given up once."""
    listen(caplog)
    async with stage(is_busy=True) as on:
        report(on, original("one"))
        on.graph.control.add_fault(reset_connection(POST))
        await pass_time(on, timedelta(hours=2), timedelta(minutes=5))
        assert (await only_row(on)).state is State.FAILED
        assert len(told(caplog, Event.ANSWER_LOST)) == 3
        assert [one["reason"] for one in told(caplog, Event.GAVE_UP)] == ["no_effect"]


async def test_a_report_that_graph_refuses_is_given_up_aloud(caplog: pytest.LogCaptureFixture) -> None:
    """Its row is failed after an hour of tries; the event has what Graph said."""
    listen(caplog)
    async with stage() as on:
        report(on, original("one"))
        on.graph.control.add_fault(answer_status(404, Scope(method="GET", path="/attachments")))
        await pass_time(on, timedelta(hours=1, minutes=10), timedelta(minutes=5))
        assert (await only_row(on)).state is State.FAILED
        (gave_up,) = told(caplog, Event.GAVE_UP)
        assert (gave_up["reason"], gave_up["status"]) == ("report_unavailable", 404)


async def test_a_worker_that_stopped_after_its_post_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The row becomes uncertain because its worker is gone: the same event as for an answer that was lost."""
    listen(caplog)
    async with stage() as on:
        report(on, original("one"))
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        on.start_process(Steps(stop_at=await step_of_the_post(on), after_effect=True))
        with pytest.raises(ProcessStoppedError):
            await on.deliver_submissions()
        on.start_process()
        on.clock.advance(minutes=20)
        await on.app.settle_outcomes.run()
        assert [one["reason"] for one in told(caplog, Event.ANSWER_LOST)] == ["worker_stopped"]


async def step_of_the_post(on: Stage) -> int:
    """The number of the step in which a process submits: as many others come before it on another stage."""
    steps = Steps()
    async with stage() as rehearsal:
        report(rehearsal, original("one"))
        await rehearsal.app.collect_reports.run()
        await rehearsal.app.dispatch.run()
        rehearsal.start_process(steps)
        await rehearsal.deliver_submissions()
    assert on.settings.reporting_mailboxes[0].address == REPORTING_MAILBOX
    return steps.taken.index("graph submissions.submit")
