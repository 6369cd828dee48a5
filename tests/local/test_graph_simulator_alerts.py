"""The alerts of the Graph simulator: shapes of the evidence, the list's options, and who raises them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from local.graph_simulator import (
    Alert,
    AlertTraps,
    AnalyzedMessageEvidence,
    GraphSimulator,
    SubmissionMailEvidence,
    UrlEvidence,
    UserEvidence,
    UserSubmission,
)

ALERTS = "/v1.0/security/alerts_v2"
TYPE = "#microsoft.graph.security."
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
REPORTED = SubmissionMailEvidence(
    network_message_id="n1",
    recipient="bob@contoso.com",
    submission_id="s1",
    submitter="bob@contoso.com",
    report_type="junk",
    sender="evil@evil.example",
    sender_ip="203.0.113.9",
    subject="Invoice",
    submitted_at=START,
)
MAIL = (
    b"From: evil@evil.example\r\nSubject: Invoice\r\nMessage-ID: <1@evil.example>\r\n"
    b"Date: Mon, 23 Nov 2026 08:00:00 +0000\r\nX-Forefront-Antispam-Report: CIP:203.0.113.9;CTRY:;\r\n"
    b"X-MS-Exchange-Organization-Network-Message-Id: n1\r\n\r\nhi"
)


@pytest.fixture
async def graph() -> AsyncIterator[GraphSimulator]:
    """Serve a tenant without alerts."""
    async with GraphSimulator(clock=lambda: START) as simulator:
        yield simulator


@pytest.fixture
async def client(graph: GraphSimulator) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that sends a token."""
    async with httpx.AsyncClient(base_url=graph.base_url, headers={"Authorization": "Bearer local"}) as http:
        yield http


async def read_alerts(client: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    """Return the alerts of one page."""
    rows: list[dict[str, Any]] = (await client.get(ALERTS, params=query)).raise_for_status().json()["value"]
    return rows


async def test_an_alert_shows_what_the_documentation_names(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Instants have seven digits; a single alert is the listed one."""
    key = graph.control.raise_alert(Alert(severity="medium", updated_at=START + timedelta(hours=1)))
    (alert,) = await read_alerts(client)
    assert (alert["id"], alert["serviceSource"], alert["severity"]) == (key, "microsoftDefenderForOffice365", "medium")
    assert (alert["title"], alert["category"]) == ("Email reported by user as malware or phish", "InitialAccess")
    assert alert["createdDateTime"] == "2026-11-23T09:00:00.0000000Z"
    assert alert["lastUpdateDateTime"] == "2026-11-23T10:00:00.0000000Z"
    assert (await client.get(f"{ALERTS}/{key}")).json() == alert
    assert (await client.get(f"{ALERTS.replace('v1.0', 'beta')}/{key}")).json() == alert


async def test_a_reported_mail_is_evidence(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """With every property that submissionMailEvidence documents."""
    graph.control.raise_alert(Alert(evidence=(REPORTED,)))
    ((evidence,),) = [alert["evidence"] for alert in await read_alerts(client)]
    assert (
        evidence.items()
        >= {
            "@odata.type": f"{TYPE}submissionMailEvidence",
            "networkMessageId": "n1",
            "recipient": "bob@contoso.com",
            "reportType": "junk",
            "sender": "evil@evil.example",
            "senderIp": "203.0.113.9",
            "subject": "Invoice",
            "submissionDateTime": "2026-11-23T09:00:00.0000000Z",
            "submissionId": "s1",
            "submitter": "bob@contoso.com",
        }.items()
    )


async def test_an_alert_carries_evidence_of_several_kinds(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Mail, analysis, people and links, in the order given; an unknown instant is null."""
    message = AnalyzedMessageEvidence(
        network_message_id="n1", recipient="bob@contoso.com", p1_sender="bounce@evil.example", p2_sender="ceo@x.example"
    )
    others = (UserEvidence(user_principal_name="bob@contoso.com"), UrlEvidence(url="https://evil.example/"))
    graph.control.raise_alert(Alert(evidence=(REPORTED, REPORTED, message, *others)))
    (alert,) = await read_alerts(client)
    kinds = [evidence["@odata.type"].removeprefix(TYPE) for evidence in alert["evidence"]]
    assert kinds == [*["submissionMailEvidence"] * 2, "analyzedMessageEvidence", "userEvidence", "urlEvidence"]
    analyzed, user, url = alert["evidence"][2:]
    assert (analyzed["p1Sender"]["emailAddress"], analyzed["p2Sender"]["emailAddress"]) == (
        "bounce@evil.example",
        "ceo@x.example",
    )
    assert (analyzed["recipientEmailAddress"], analyzed["receivedDateTime"]) == ("bob@contoso.com", None)
    assert (user["userAccount"]["userPrincipalName"], url["url"]) == ("bob@contoso.com", "https://evil.example/")


async def test_a_users_report_raises_an_alert_if_told_so(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Evidence and submission agree; the title follows the user's choice; without the switch there is none."""
    report = UserSubmission(mime=MAIL, recipient="eve@contoso.com", reporter="bob@contoso.com", category="spam")
    graph.control.submit_as_user(report)
    assert await read_alerts(client) == []
    graph.control.set_alert_traps(AlertTraps(user_submissions_raise=True))
    key = graph.control.submit_as_user(report)
    (alert,) = await read_alerts(client)
    reported, analyzed, user = alert["evidence"]
    assert alert["title"] == "Email reported by user as junk"
    assert (reported["submissionId"], reported["reportType"], reported["networkMessageId"]) == (key, "junk", "n1")
    assert (reported["submitter"], reported["recipient"]) == ("bob@contoso.com", "eve@contoso.com")
    assert (analyzed["internetMessageId"], analyzed["networkMessageId"]) == ("<1@evil.example>", "n1")
    assert (analyzed["senderIp"], analyzed["receivedDateTime"]) == ("203.0.113.9", "2026-11-23T08:00:00.0000000Z")
    assert user["@odata.type"] == f"{TYPE}userEvidence"


async def test_the_newest_alerts_come_first_in_pages(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Pages go on by nextLink, keep the filter, and can be counted and skipped."""
    keys = [graph.control.raise_alert(Alert(at=START - timedelta(minutes=number))) for number in (3, 0, 2, 1)]
    graph.control.raise_alert(Alert(at=START - timedelta(days=2)))
    query = f"{ALERTS}?$filter=createdDateTime ge 2026-11-23T00:00:00Z&$top=3&$count=true"
    page = (await client.get(query)).json()
    last = (await client.get(page["@odata.nextLink"])).json()
    assert (page["@odata.count"], "@odata.nextLink" in last) == (4, False)
    listed = [alert["id"] for alert in page["value"] + last["value"]]
    assert listed == [keys[1], keys[3], keys[2], keys[0]]
    assert len(await read_alerts(client, **{"$skip": "4"})) == 1


async def test_a_page_without_top_has_the_size_of_the_trap(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """So that a test needs three alerts for two pages."""
    graph.control.set_alert_traps(AlertTraps(default_page_size=2))
    for _ in range(3):
        graph.control.raise_alert(Alert())
    assert len(await read_alerts(client)) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("severity eq 'high'", 1),
        ("status eq 'resolved'", 1),
        ("serviceSource eq 'microsoftDefenderForOffice365'", 2),
        ("assignedTo eq 'eve@contoso.com'", 0),
        ("classification eq 'unknown' and determination eq 'unknown'", 3),
        ("createdDateTime gt 2026-11-23T08:00:00Z and createdDateTime le 2026-11-23T09:00:00Z", 2),
        ("lastUpdateDateTime ge 2026-11-23T10:00:00Z", 1),
    ],
)
async def test_alerts_take_the_documented_filters(
    graph: GraphSimulator, client: httpx.AsyncClient, text: str, expected: int
) -> None:
    """Eight properties, and no other."""
    graph.control.raise_alert(Alert(severity="high", updated_at=START + timedelta(hours=1)))
    graph.control.raise_alert(Alert(status="resolved", at=START - timedelta(hours=1)))
    graph.control.raise_alert(Alert(service_source="microsoftDefenderForEndpoint"))
    assert len(await read_alerts(client, **{"$filter": text})) == expected


@pytest.mark.parametrize(
    "query",
    [
        "$orderby=createdDateTime",
        "$select=id",
        "$expand=evidence",
        "$search=x",
        "$skiptoken=x",
        "$top=0",
        "$top=1001",
        "$skip=x",
        "$count=maybe",
        "$filter=title eq 'x'",
        "$filter=category eq 'InitialAccess'",
        "$filter=severity eq 'terrible'",
        "$filter=createdDateTime ge '2026-11-23T09:00:00Z'",
        "$filter=createdDateTime ge 2026-11-23",
        "$filter=evidence/any(e:e/subject eq 'x')",
        "filter=severity eq 'high'",
    ],
)
async def test_alerts_refuse_what_is_not_documented(client: httpx.AsyncClient, query: str) -> None:
    """The generated clients offer more than the page names."""
    response = await client.get(f"{ALERTS}?{query}")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", ALERTS, 405),
        ("PATCH", f"{ALERTS}/none", 405),
        ("GET", f"{ALERTS}/none", 404),
        ("GET", f"{ALERTS}/none/comments", 400),
        ("GET", f"{ALERTS}/none?$select=id", 400),
        ("GET", "/v1.0/security/alerts", 400),
    ],
)
async def test_other_requests_are_refused(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    """Reading is all the app may do; the first generation of alerts is not served."""
    assert (await client.request(method, path)).status_code == status
