"""Driving the Graph simulator from outside: over HTTP, in a thread, as a process."""

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest

from local.graph_simulator import (
    Access,
    Alert,
    AlertTraps,
    AnalyzedMessageEvidence,
    CommandFailedError,
    Fault,
    FaultKind,
    FileAttachment,
    GraphSimulator,
    HuntingLimits,
    ItemAttachment,
    MailItem,
    MailTraps,
    QuotaLimits,
    ReferenceAttachment,
    ReportDestination,
    RowShape,
    Scope,
    SimulatorControl,
    Source,
    SubmissionMailEvidence,
    SubmissionTraps,
    UnknownItemError,
    UrlEvidence,
    UserEvidence,
    UserSubmission,
    Verdict,
    serve_in_thread,
)
from local.graph_simulator.control import COMMANDS, LocalControl

BOX = "reports@contoso.com"
ROOT = Path(__file__).resolve().parents[2]
URLS = "/beta/security/threatSubmission/urlThreats"
TOKEN = {"Authorization": "Bearer local"}
BODY = {
    "@odata.type": "#microsoft.graph.security.urlThreatSubmission",
    "category": "phishing",
    "webUrl": "https://evil.example/",
}
EMAIL = {
    "@odata.type": "#microsoft.graph.security.emailContentThreatSubmission",
    "category": "phishing",
    "recipientEmailAddress": "bob@contoso.com",
    "fileContent": "U3ViamVjdDogaGkNCg0KaGk=",
}
REPORT = UserSubmission(mime=b"Subject: hi\r\n\r\n\xff", recipient="bob@contoso.com", reporter="bob@contoso.com")
MAIL = MailItem(
    from_address="bob@contoso.com",
    subject="a\x00b\u202e\U0001f41f",
    received_at=datetime(2026, 11, 23, 9, 0, tzinfo=UTC),
    internet_message_id="<1@contoso.com>",
    headers=(("X-Mailer", "Outlook"),),
    attachments=(
        ItemAttachment("original", bytes(range(256))),
        FileAttachment("logo.png", "image/png", b"\xff\xfe", is_inline=True),
        ReferenceAttachment("shared", "https://contoso.sharepoint.com/x"),
    ),
    mime=b"\x80\x00",
)


@pytest.fixture
async def graph() -> AsyncIterator[GraphSimulator]:
    """Serve an empty tenant."""
    async with GraphSimulator() as simulator:
        yield simulator


@pytest.fixture
async def control(graph: GraphSimulator) -> AsyncIterator[SimulatorControl]:
    """Connect to the simulator."""
    async with SimulatorControl(graph.base_url) as connected:
        yield connected


def test_both_controls_have_the_same_methods() -> None:
    """Every command exists in process and over HTTP with the same parameters and the same result."""
    public = {name for name, _ in inspect.getmembers(LocalControl, inspect.isfunction) if not name.startswith("_")}
    assert public == set(COMMANDS)
    for name in COMMANDS:
        assert inspect.signature(getattr(LocalControl, name)) == inspect.signature(getattr(SimulatorControl, name)), (
            name
        )


async def test_a_mail_arrives_unchanged(graph: GraphSimulator, control: SimulatorControl) -> None:
    """All kinds of attachments, any bytes and any text survive the way."""
    await control.add_mailbox(BOX)
    key = await control.deliver(BOX, MAIL, "User reports")
    box = graph.tenant.find_mailbox(BOX)
    assert box is not None
    stored = box.find_message(key)
    assert stored is not None
    assert (stored.item, stored.folder.display_name) == (MAIL, "User reports")


async def test_messages_can_be_moved_read_and_removed(graph: GraphSimulator, control: SimulatorControl) -> None:
    """As people in the mailbox would do it."""
    await control.add_mailbox(BOX)
    key = await control.deliver(BOX, MAIL)
    moved = await control.move(BOX, key, "archive")
    await control.mark_read(BOX, key)
    assert await control.read_regular_id(BOX, key) == moved
    box = graph.tenant.find_mailbox(BOX)
    assert box is not None
    assert [(one.folder.display_name, one.is_read) for one in box.messages] == [("Archive", True)]
    await control.remove(BOX, key)
    assert box.messages == []


async def test_the_switches_reach_the_simulator(graph: GraphSimulator, control: SimulatorControl) -> None:
    """Traps, limits, verdicts, destination, faults, quota, submissions by others."""
    await control.set_mail_traps(MailTraps(empty_pages=(1, 2)))
    await control.set_submission_traps(SubmissionTraps(retry_after="absent"))
    await control.set_quota_limits(QuotaLimits(tenant_per_15_min=3))
    await control.set_report_destination(ReportDestination(to_microsoft=True))
    await control.set_usual_verdicts(0, 0)
    await control.set_verdict(str(BODY["webUrl"]), Verdict("spam", "itemFoundSpam"))
    await control.use_portal_quota(1)
    portal = await control.submit_in_portal("urlThreats", BODY)
    reported = await control.submit_as_user(REPORT)
    handle = await control.add_fault(Fault(FaultKind.STATUS, Scope(times=1), status=418))
    async with httpx.AsyncClient(base_url=graph.base_url, headers=TOKEN) as client:
        assert (await client.get(URLS)).status_code == 418
        rows = (await client.get(URLS)).json()["value"]
        reports = (await client.get(URLS.replace("url", "email"))).json()["value"]
        first, second = [await client.post(URLS, json=BODY | {"webUrl": f"https://e.example/{n}"}) for n in range(2)]
    await control.remove_fault(handle)
    assert [row["id"] for row in rows] == [portal]
    assert [row["id"] for row in reports] == [reported]
    assert (first.status_code, first.json()["status"]) == (201, "succeeded")
    assert (second.status_code, "Retry-After" in second.headers) == (429, False)
    seen = {one.id: one.result_detail for one in await control.list_submissions()}
    assert (set(seen), seen[portal]) == ({portal, reported, first.json()["id"]}, "itemFoundSpam")


async def test_the_sources_beside_the_mailbox_are_driven_over_http(
    graph: GraphSimulator, control: SimulatorControl
) -> None:
    """Reports, alerts with evidence of all kinds, rows, limits and access arrive as they were sent."""
    at = datetime(2026, 11, 23, 9, 0, tzinfo=timezone(timedelta(hours=1)))
    await control.set_alert_traps(AlertTraps(user_submissions_raise=True))
    await control.submit_as_user(replace(REPORT, at=at, verdict=Verdict("spam", "none"), shape=RowShape("nested")))
    evidence = (
        SubmissionMailEvidence(network_message_id="n1", recipient="bob@contoso.com", submitted_at=at),
        AnalyzedMessageEvidence(network_message_id="n1", recipient="bob@contoso.com", threats=("phish",)),
        UserEvidence(user_principal_name="bob@contoso.com"),
        UrlEvidence(url="https://evil.example/"),
    )
    raised = await control.raise_alert(Alert(evidence=evidence))
    await control.set_hunting_rows("EmailEvents", ({"N": 1, "Names": ["a"]},))
    await control.set_hunting_limits(HuntingLimits(calls_per_minute=1))
    async with httpx.AsyncClient(base_url=graph.base_url, headers=TOKEN) as client:
        alerts = (await client.get("/v1.0/security/alerts_v2")).json()["value"]
        hunts = [await client.post("/v1.0/security/runHuntingQuery", json={"Query": "EmailEvents"}) for _ in range(2)]
        await control.set_source_access(Source.ALERTS, Access.NOT_LICENSED)
        assert (await client.get("/v1.0/security/alerts_v2")).status_code == 403
    assert alerts[0]["id"] == raised
    assert alerts[0]["evidence"][0]["submissionDateTime"] == "2026-11-23T08:00:00.0000000Z"
    assert alerts[0]["evidence"][1]["threats"] == ["phish"]
    assert (len(alerts), alerts[1]["createdDateTime"]) == (2, "2026-11-23T08:00:00.0000000Z")
    assert (hunts[0].json()["results"], hunts[1].status_code) == ([{"N": 1, "Names": ["a"]}], 429)
    assert [one.query for one in await control.list_hunting_queries()] == ["EmailEvents"]
    (reported,) = await control.list_submissions()
    assert (reported.shape, reported.result_category) == (RowShape("nested"), "spam")


async def test_the_log_is_the_same_over_http(graph: GraphSimulator, control: SimulatorControl) -> None:
    """Records come as they are; the control's own requests and health checks are not among them."""
    async with httpx.AsyncClient(base_url=graph.base_url, headers=TOKEN) as client:
        assert (await client.get("/_simulator/health")).json() == {"status": "ok"}
        await client.get(URLS)
        await client.get(f"{URLS}/none")
    records = await control.read_log()
    assert records == graph.log.select()
    assert [record.status for record in records] == [200, 404]
    assert await control.read_log(records[0].sequence) == records[1:]
    await control.clear_log()
    assert await control.read_log() == ()


async def test_faults_do_not_touch_the_control(graph: GraphSimulator, control: SimulatorControl) -> None:
    """In an outage the simulator can still be told to end it."""
    await control.start_outage(None)
    async with httpx.AsyncClient(headers=TOKEN) as client:
        with pytest.raises(httpx.TransportError):
            await client.get(graph.base_url + URLS)
        await control.end_outage()
        await control.start_outage()
        await control.clear_faults()
        assert (await client.get(graph.base_url + URLS)).status_code == 200


async def test_reset_forgets_everything(graph: GraphSimulator, control: SimulatorControl) -> None:
    """The next test of a shared process starts from nothing; delta links of before are gone."""
    await control.add_mailbox(BOX)
    delta = f"/v1.0/users/{BOX}/mailFolders/inbox/messages/delta"
    async with httpx.AsyncClient(base_url=graph.base_url, headers=TOKEN) as client:
        link = (await client.get(delta)).json()["@odata.deltaLink"]
        await control.submit_in_portal("urlThreats", BODY)
        await control.set_submission_traps(SubmissionTraps(retry_after="absent"))
        await control.add_fault(Fault(FaultKind.STATUS, status=418))
        await control.raise_alert(Alert())
        await control.set_hunting_rows("*", ())
        await control.reset()
        assert (await client.get("/v1.0/security/alerts_v2")).json()["value"] == []
        assert (await client.post("/v1.0/security/runHuntingQuery", json={"Query": "x"})).status_code == 501
        await control.clear_log()
        assert (await control.read_log(), await control.list_submissions()) == ((), ())
        assert (await client.get(delta)).status_code == 404
        await control.add_mailbox(BOX)
        assert (await client.get(link)).status_code == 410
        assert (await client.post(URLS, json=BODY)).status_code == 201
        assert (await client.post(URLS, json=BODY)).headers["Retry-After"] == "900"


async def test_a_command_that_fails_says_why(graph: GraphSimulator, control: SimulatorControl) -> None:
    """Unknown items and refused bodies are the caller's mistakes, here and there."""
    with pytest.raises(CommandFailedError, match="UnknownItemError: no mailbox"):
        await control.deliver(BOX, MAIL)
    with pytest.raises(UnknownItemError):
        graph.control.deliver(BOX, MAIL)
    with pytest.raises(CommandFailedError, match="recipientEmailAddress"):
        await control.submit_in_portal("emailThreats", EMAIL | {"recipientEmailAddress": ""})
    await control.add_mailbox(BOX)
    with pytest.raises(CommandFailedError, match="no message"):
        await control.mark_read(BOX, "none")


@pytest.mark.parametrize(
    ("method", "command", "content", "status"),
    [
        ("POST", "deliver", b'{"mailbox": 3}', 400),
        ("POST", "deliver", b"{", 400),
        ("POST", "start_outage", b'{"level": 1}', 400),
        ("POST", "__init__", b"{}", 404),
        ("GET", "reset", b"", 404),
    ],
)
async def test_a_wrong_command_is_refused(
    graph: GraphSimulator, method: str, command: str, content: bytes, status: int
) -> None:
    """Arguments are checked against the signatures; only the listed commands exist."""
    async with httpx.AsyncClient(base_url=graph.base_url) as client:
        response = await client.request(method, f"/_simulator/{command}", content=content)
    assert response.status_code == status
    assert response.text


def test_a_simulator_can_serve_in_a_thread() -> None:
    """For tests that are not asynchronous; its port is free again afterwards."""
    simulator = GraphSimulator()
    with serve_in_thread(simulator) as base_url, httpx.Client() as client:
        assert client.get(base_url + URLS, headers=TOKEN).status_code == 200
    with httpx.Client() as client, pytest.raises(httpx.ConnectError):
        client.get(base_url + URLS)


async def test_a_simulator_can_stop_and_start_again() -> None:
    """A restart keeps the state, as a cloud would."""
    simulator = GraphSimulator()
    async with simulator:
        simulator.tenant.add_mailbox(BOX)
    async with simulator, httpx.AsyncClient(headers=TOKEN) as client:
        assert (await client.get(f"{simulator.base_url}/v1.0/users/{BOX}/messages")).status_code == 200


async def test_a_simulator_can_be_a_process(tmp_path: Path) -> None:
    """It announces its base url once it serves, takes commands, and ends with code 0 on SIGTERM."""
    announced = tmp_path / "base-url"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "local.graph_simulator",
        "--announce",
        str(announced),
        "--domain",
        "fabrikam.com",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        printed = (await asyncio.wait_for(process.stdout.readline(), 100)).decode().strip()
        assert announced.read_text(encoding="utf-8") == printed
        async with SimulatorControl(printed) as control:
            await control.submit_as_user(replace(REPORT, recipient="bob@fabrikam.com"))
            assert len(await control.list_submissions()) == 1
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
