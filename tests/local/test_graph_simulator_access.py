"""Sources that the app may not read: each is closed by itself, and answers as Graph would."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from local.graph_simulator import Access, GraphSimulator, SimulatedTenant, Source

BOX = "reports@contoso.com"
ROOT = "/beta/security/threatSubmission"
HUNT = "/v1.0/security/runHuntingQuery"
BETA = {Source.THREAT_SUBMISSIONS, Source.USER_SUBMISSIONS, Source.REPORT_POLICY}
REQUESTS = {
    Source.MAILBOX: ("GET", f"/v1.0/users/{BOX}/messages"),
    Source.THREAT_SUBMISSIONS: ("GET", f"{ROOT}/emailThreats"),
    Source.USER_SUBMISSIONS: ("GET", f"{ROOT}/emailThreats?$filter=source eq 'user'"),
    Source.REPORT_POLICY: ("GET", f"{ROOT}/emailThreatSubmissionPolicies"),
    Source.ALERTS: ("GET", "/v1.0/security/alerts_v2"),
    Source.HUNTING: ("POST", HUNT),
}


@pytest.fixture
async def graph() -> AsyncIterator[GraphSimulator]:
    """Serve a tenant in which everything may be read."""
    tenant = SimulatedTenant()
    tenant.add_mailbox(BOX)
    async with GraphSimulator(tenant, clock=lambda: datetime(2026, 11, 23, 9, 0, tzinfo=UTC)) as simulator:
        simulator.control.set_hunting_rows("*", ())
        yield simulator


@pytest.fixture
async def client(graph: GraphSimulator) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that sends a token."""
    async with httpx.AsyncClient(base_url=graph.base_url, headers={"Authorization": "Bearer local"}) as http:
        yield http


async def ask(client: httpx.AsyncClient, source: Source) -> httpx.Response:
    """Ask a source what the app asks it."""
    method, path = REQUESTS[source]
    return await client.request(method, path, json={"Query": "EmailEvents"} if method == "POST" else None)


@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize(
    ("access", "status"),
    [
        (Access.UNAUTHENTICATED, 401),
        (Access.NOT_GRANTED, 403),
        (Access.NOT_LICENSED, 403),
        (Access.UNKNOWN_ENDPOINT, 404),
    ],
)
async def test_a_closed_source_leaves_the_others_open(
    graph: GraphSimulator, client: httpx.AsyncClient, source: Source, access: Access, status: int
) -> None:
    """It can be opened again; a reset opens it, too. Without the beta API nothing of it is left."""
    graph.control.set_source_access(source, access)
    closed = BETA if source is Source.THREAT_SUBMISSIONS else {source}
    expected = {one: status if one in closed else 200 for one in Source}
    assert {one: (await ask(client, one)).status_code for one in Source} == expected
    graph.control.set_source_access(source, Access.GRANTED)
    assert (await ask(client, source)).status_code == 200
    graph.control.set_source_access(source, access)
    graph.control.reset()
    graph.control.add_mailbox(BOX)
    graph.control.set_hunting_rows("*", ())
    assert (await ask(client, source)).status_code == 200


async def test_a_missing_grant_and_a_missing_licence_differ_in_their_code(
    graph: GraphSimulator, client: httpx.AsyncClient
) -> None:
    """Both are 403; only code and message tell them apart, and the mailbox has words of its own."""
    seen = []
    for source in (Source.ALERTS, Source.MAILBOX):
        for access in (Access.NOT_GRANTED, Access.NOT_LICENSED):
            graph.control.set_source_access(source, access)
            seen.append((await ask(client, source)).json()["error"])
    codes = [error["code"] for error in seen]
    assert codes == ["Forbidden", "Forbidden_LicensingError", "ErrorAccessDenied", "Forbidden_LicensingError"]
    assert "SecurityAlert.Read.All" in seen[0]["message"]


async def test_closed_user_submissions_leave_the_apps_own_in_reach(
    graph: GraphSimulator, client: httpx.AsyncClient
) -> None:
    """The app goes on submitting, listing and following what it submitted itself."""
    graph.control.set_source_access(Source.USER_SUBMISSIONS, Access.NOT_GRANTED)
    body = {
        "@odata.type": "#microsoft.graph.security.emailContentThreatSubmission",
        "category": "phishing",
        "recipientEmailAddress": "bob@contoso.com",
        "fileContent": "U3ViamVjdDogaGkNCg0KaGk=",
    }
    posted = await client.post(f"{ROOT}/emailThreats", json=body)
    listed = await client.get(f"{ROOT}/emailThreats?$filter=createdDateTime ge 2026-11-23T00:00:00Z")
    read = await client.get(f"{ROOT}/emailThreats/{posted.json()['id']}")
    assert [answer.status_code for answer in (posted, listed, read)] == [201, 200, 200]


async def test_a_policy_nobody_may_read_is_no_policy_that_says_no(
    graph: GraphSimulator, client: httpx.AsyncClient
) -> None:
    """A client sees an error and no list."""
    graph.control.set_source_access(Source.REPORT_POLICY, Access.NOT_LICENSED)
    response = await ask(client, Source.REPORT_POLICY)
    assert "value" not in response.json()
