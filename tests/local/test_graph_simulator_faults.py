"""Faults and the request log of the Graph simulator: what a client sees, what happened all the same, what is logged."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import httpx
import pytest

from local.graph_simulator import (
    Alert,
    Fault,
    FaultKind,
    GraphSimulator,
    MailItem,
    MailTraps,
    ReportDestination,
    RequestRecord,
    Scope,
    SimulatedTenant,
    UserSubmission,
)
from local.graph_simulator.faults import (
    FaultPlan,
    answer_body,
    answer_empty,
    answer_html,
    answer_status,
    expire_delta,
    link_to,
    lose_answer,
    mistype_rows,
    omit_rows,
    page_endlessly,
    refuse_filter,
    reset_connection,
    throttle,
)

BOX = "reports@contoso.com"
DELTA = f"/v1.0/users/{BOX}/mailFolders/inbox/messages/delta"
ROOT = "/beta/security/threatSubmission"
URLS = f"{ROOT}/urlThreats"
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
BODY = {
    "@odata.type": "#microsoft.graph.security.urlThreatSubmission",
    "category": "phishing",
    "webUrl": "https://evil.example/",
}


@pytest.fixture(autouse=True)
def _server_stays_calm(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test in which a fault turned into an error of the server."""
    yield
    assert [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []


@pytest.fixture
async def graph() -> AsyncIterator[GraphSimulator]:
    """Serve a tenant with one mailbox."""
    tenant = SimulatedTenant()
    tenant.add_mailbox(BOX)
    async with GraphSimulator(tenant, clock=lambda: START) as simulator:
        yield simulator


@pytest.fixture
async def client(graph: GraphSimulator) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that sends a token."""
    async with httpx.AsyncClient(base_url=graph.base_url, headers={"Authorization": "Bearer local"}) as http:
        yield http


def read_last(graph: GraphSimulator) -> RequestRecord:
    """Return the last record of the log."""
    return graph.log.select()[-1]


async def test_a_throttled_request_has_the_chosen_retry_after(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Any text goes: seconds, a date, none; nothing was submitted."""
    graph.faults.add(throttle("Mon, 23 Nov 2026 09:15:00 GMT", Scope(times=1)))
    graph.faults.add(throttle(None, code="ActivityLimitReached"))
    first, second = [await client.post(URLS, json=BODY) for _ in range(2)]
    assert (first.status_code, first.headers["Retry-After"]) == (429, "Mon, 23 Nov 2026 09:15:00 GMT")
    assert "Retry-After" not in second.headers
    assert second.json()["error"]["code"] == "ActivityLimitReached"
    assert graph.control.list_submissions() == ()
    assert (read_last(graph).status, read_last(graph).fault) == (429, "throttle")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 502, 503, 504])
async def test_an_error_before_the_effect_submits_nothing(
    graph: GraphSimulator, client: httpx.AsyncClient, status: int
) -> None:
    """The client sees the error, and it is the truth."""
    graph.faults.add(answer_status(status))
    assert (await client.post(URLS, json=BODY)).status_code == status
    assert graph.control.list_submissions() == ()


async def test_an_error_after_the_effect_hides_a_submission(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """504, and yet Microsoft has it: the log knows the id."""
    graph.faults.add(answer_status(504, Scope(times=1), after_effect=True))
    response = await client.post(URLS, json=BODY)
    (submission,) = graph.control.list_submissions()
    assert (response.status_code, submission.id in response.text) == (504, False)
    assert (read_last(graph).effect, read_last(graph).fault) == (submission.id, "status_504_after_effect")


@pytest.mark.parametrize(("fault", "effects"), [(lose_answer(), 1), (reset_connection(), 0)])
async def test_a_cut_connection_tells_nothing_about_the_effect(
    graph: GraphSimulator, client: httpx.AsyncClient, fault: Fault, effects: int
) -> None:
    """A lost answer leaves a submission, a reset before reading leaves none; the client cannot tell them apart."""
    graph.faults.add(fault)
    with pytest.raises(httpx.TransportError):
        await client.post(URLS, json=BODY)
    assert len(graph.control.list_submissions()) == effects
    assert (read_last(graph).status, read_last(graph).fault) == (None, fault.shown_name)
    assert (read_last(graph).effect is not None) == bool(effects)


@pytest.mark.parametrize(("status", "after_effect"), [(200, False), (502, False), (201, True)])
async def test_a_proxy_may_answer_in_html(
    graph: GraphSimulator, client: httpx.AsyncClient, status: int, after_effect: bool
) -> None:
    """With a good status or a bad one, before the effect or after."""
    graph.faults.add(answer_html(status, after_effect=after_effect))
    response = await client.post(URLS, json=BODY)
    assert (response.status_code, response.headers["Content-Type"]) == (status, "text/html")
    assert response.text.startswith("<!DOCTYPE html>")
    assert len(graph.control.list_submissions()) == after_effect


async def test_an_answer_may_be_empty(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """201 and nothing else, although Microsoft has the submission."""
    graph.faults.add(answer_empty(201))
    response = await client.post(URLS, json=BODY)
    assert (response.status_code, response.content) == (201, b"")
    assert read_last(graph).effect == graph.control.list_submissions()[0].id


async def test_an_answer_may_lack_its_id(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """201 without the one thing to keep."""
    graph.faults.add(Fault(FaultKind.WITHOUT_ID, Scope(method="POST")))
    response = await client.post(URLS, json=BODY)
    assert (response.status_code, "id" in response.json(), response.json()["webUrl"]) == (201, False, BODY["webUrl"])
    assert len(graph.control.list_submissions()) == 1


async def test_enum_values_may_come_from_the_future(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """In single rows and in lists."""
    graph.faults.add(Fault(FaultKind.UNKNOWN_VALUE))
    single = (await client.post(URLS, json=BODY)).json()
    (listed,) = (await client.get(URLS)).json()["value"]
    for row in (single, listed):
        assert {row["status"], row["result"]["category"], row["result"]["detail"]} == {"valueFromTheFuture"}


SOURCES = [
    ("GET", f"{ROOT}/emailThreats?$filter=source eq 'user'"),
    ("GET", "/v1.0/security/alerts_v2?$top=5"),
    ("POST", "/v1.0/security/runHuntingQuery"),
    ("GET", f"/v1.0/users/{BOX}/messages?$select=body"),
]


async def ask(client: httpx.AsyncClient, method: str, path: str) -> httpx.Response:
    """Ask a source for its rows."""
    return await client.request(method, path, json={"Query": "EmailEvents"} if method == "POST" else None)


@pytest.fixture
def full(graph: GraphSimulator) -> GraphSimulator:
    """Give each source one row."""
    graph.control.set_report_destination(ReportDestination(to_microsoft=True))
    graph.control.submit_as_user(
        UserSubmission(mime=b"Subject: hi\r\n\r\nhi", recipient="bob@contoso.com", reporter="bob@contoso.com")
    )
    graph.control.raise_alert(Alert())
    graph.control.set_hunting_rows("*", ({"NetworkMessageId": "n1"},))
    graph.control.deliver(
        BOX, MailItem(from_address="a@b.c", subject="x", received_at=START, internet_message_id="<1>")
    )
    return graph


@pytest.mark.parametrize(("method", "path"), SOURCES)
async def test_every_source_has_the_same_faults(
    full: GraphSimulator, client: httpx.AsyncClient, method: str, path: str
) -> None:
    """Throttled, broken, HTML with 200, empty, then the truth; the log names each fault and the truth none."""
    once = Scope(times=1)
    for fault in (throttle("10", once), answer_status(500, once), answer_html(200, once), answer_empty(200, once)):
        full.faults.add(fault)
    answers = [await ask(client, method, path) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [429, 500, 200, 200, 200]
    assert (answers[2].text[:15], answers[3].content) == ("<!DOCTYPE html>", b"")
    assert len(answers[4].json().get("value", answers[4].json().get("results"))) == 1
    assert [one.fault for one in full.log.select()] == ["throttle", "status_500", "html", "empty", None]


@pytest.mark.parametrize(("method", "path"), SOURCES)
@pytest.mark.parametrize("body", ["[]", '"text"', "7", "null", '{"value": ', '{"value": {}}'])
async def test_an_answer_may_be_any_text_declared_as_json(
    full: GraphSimulator, client: httpx.AsyncClient, method: str, path: str, body: str
) -> None:
    """Status 200 and the content type promise what the body does not hold."""
    full.faults.add(answer_body(body))
    response = await ask(client, method, path)
    assert (response.status_code, response.text) == (200, body)
    assert response.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize(("method", "path"), SOURCES)
async def test_an_answer_may_lack_its_rows(
    full: GraphSimulator, client: httpx.AsyncClient, method: str, path: str
) -> None:
    """The rest of it stays."""
    full.faults.add(omit_rows())
    payload = (await ask(client, method, path)).json()
    assert (payload.keys() & {"value", "results"}, "@odata.context" in payload) == (set(), True)


@pytest.mark.parametrize(("method", "path"), SOURCES)
async def test_rows_may_have_wrong_types(
    full: GraphSimulator, client: httpx.AsyncClient, method: str, path: str
) -> None:
    """Rows that are no objects, and one true row with no value of its own type."""
    truth = (await ask(client, method, path)).json()
    full.faults.add(mistype_rows())
    payload = (await ask(client, method, path)).json()
    name = "results" if "results" in truth else "value"
    *others, row = payload[name]
    assert others == [None, 7, "row", []]
    assert row.keys() == truth[name][0].keys()
    assert not [key for key, value in row.items() if type(value) is type(truth[name][0][key])]


async def test_a_single_object_may_have_wrong_types(full: GraphSimulator, client: httpx.AsyncClient) -> None:
    """As rows may."""
    row = (await client.get(f"/v1.0/users/{BOX}/messages")).json()["value"][0]
    full.faults.add(mistype_rows())
    assert (await client.get(f"/v1.0/users/{BOX}/messages/{row['id']}?$select=subject,body")).json() == {
        "@odata.etag": [row["@odata.etag"]],
        "id": [row["id"]],
        "subject": ["x"],
        "body": "text",
    }


@pytest.mark.parametrize(("method", "path"), SOURCES)
async def test_a_list_may_link_to_itself_or_to_a_foreign_host(
    full: GraphSimulator, client: httpx.AsyncClient, method: str, path: str
) -> None:
    """The rows are true, the link is not."""
    full.faults.add(link_to("https://evil.example/v1.0/next", Scope(times=1)))
    full.faults.add(link_to(""))
    foreign, loop = [await ask(client, method, path) for _ in range(2)]
    assert foreign.json()["@odata.nextLink"] == "https://evil.example/v1.0/next"
    assert loop.json()["@odata.nextLink"] == str(loop.request.url)


@pytest.mark.parametrize(("method", "path"), SOURCES)
async def test_pages_may_never_end(full: GraphSimulator, client: httpx.AsyncClient, method: str, path: str) -> None:
    """Every page is empty, every link is new, and the faulty list goes on behind each."""
    full.faults.add(page_endlessly(Scope(path=path.partition("?")[0])))
    seen = set()
    for _ in range(5):
        page = (await ask(client, method, path)).json()
        path = page["@odata.nextLink"]
        seen.add(path)
        assert page["value"] == []
    assert len(seen) == 5


async def test_a_list_may_refuse_its_filter(full: GraphSimulator, client: httpx.AsyncClient) -> None:
    """However `$filter` is spelt; the list without one, and every other list, is answered."""
    full.faults.add(refuse_filter("emailThreats"))
    plain, encoded = [
        await client.get(f"{ROOT}/emailThreats?{name}=source%20eq%20'user'") for name in ("$filter", "%24filter")
    ]
    assert (plain.status_code, encoded.status_code) == (400, 400)
    others = ("/emailThreats", "/urlThreats?$filter=category eq 'spam'")
    assert [(await client.get(f"{ROOT}{other}")).status_code for other in others] == [200, 200]


async def test_a_refusal_is_not_spoilt(full: GraphSimulator, client: httpx.AsyncClient) -> None:
    """What the service would refuse anyway stays readable."""
    for kind in (FaultKind.WRONG_TYPES, FaultKind.NEXT_LINK, FaultKind.WITHOUT_ROWS):
        full.faults.add(Fault(kind, Scope(times=1)))
        error = (await client.get("/v1.0/security/alerts_v2?$select=id")).json()
        assert (error.keys(), error["error"]["code"]) == ({"error"}, "BadRequest")


async def test_a_hanging_request_ends_in_a_cut_connection(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """The client's own timeout is the only way out; nothing was submitted."""
    graph.faults.add(Fault(FaultKind.HANG, delay_s=60))
    with pytest.raises(httpx.ReadTimeout):
        await client.post(URLS, json=BODY, timeout=httpx.Timeout(60, read=0.5))
    assert (read_last(graph).status, read_last(graph).fault) == (None, "hang")
    assert graph.control.list_submissions() == ()


async def test_stopping_the_simulator_ends_what_hangs() -> None:
    """A test that leaves a hanging request behind is not held up."""
    started = time.monotonic()
    async with GraphSimulator() as graph, httpx.AsyncClient() as http:
        graph.faults.add(Fault(FaultKind.HANG, delay_s=60))
        request = asyncio.create_task(http.get(f"{graph.base_url}{URLS}", timeout=60))
        done, _ = await asyncio.wait({request}, timeout=0.2)
        assert not done
    with pytest.raises(httpx.TransportError):
        await request
    assert time.monotonic() - started < 40


async def test_a_body_may_drip(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Slow, but whole in the end."""
    graph.faults.add(Fault(FaultKind.DRIP, Scope(method="GET"), delay_s=0.01))
    await client.post(URLS, json=BODY)
    started = time.monotonic()
    assert len((await client.get(URLS)).json()["value"]) == 1
    assert time.monotonic() - started >= 0.1


async def test_a_body_may_be_cut(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Half of the promised bytes, then the end."""
    graph.faults.add(Fault(FaultKind.TRUNCATED))
    with pytest.raises(httpx.TransportError):
        await client.post(URLS, json=BODY)
    assert len(graph.control.list_submissions()) == 1


async def test_latencies_add_up_and_go_with_other_faults(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """A slow service may fail as well."""
    for _ in range(2):
        graph.faults.add(Fault(FaultKind.LATENCY, delay_s=0.05))
    graph.faults.add(answer_status(500))
    started = time.monotonic()
    assert (await client.get(URLS)).status_code == 500
    assert time.monotonic() - started >= 0.1


async def test_an_outage_lasts_until_it_is_ended(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Ending it leaves the other faults in place."""
    graph.faults.add(answer_status(404, Scope(path="urlThreats")))
    graph.control.start_outage()
    assert [(await client.get(path)).status_code for path in (URLS, DELTA)] == [404, 503]
    graph.control.start_outage(status=None)
    with pytest.raises(httpx.TransportError):
        await client.get(DELTA)
    graph.control.end_outage()
    assert [(await client.get(path)).status_code for path in (URLS, DELTA)] == [404, 200]


async def test_a_delta_link_may_be_gone(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """The fault strikes links only; a fresh round is possible."""
    link = (await client.get(DELTA)).json()["@odata.deltaLink"]
    graph.faults.add(expire_delta())
    response = await client.get(link)
    assert (response.status_code, response.json()["error"]["code"]) == (410, "SyncStateNotFound")
    assert (await client.get(DELTA)).status_code == 200


@pytest.mark.parametrize(
    ("scope", "struck"),
    [
        (Scope(), [0, 1, 2, 3, 4, 5]),
        (Scope(method="POST"), [1, 3, 5]),
        (Scope(path=r"delta\?\$top"), [0, 2, 4]),
        (Scope(every=3), [2, 5]),
        (Scope(times=2), [0, 1]),
        (Scope(method="POST", every=2, times=1), [3]),
    ],
)
def test_a_scope_chooses_its_requests(scope: Scope, struck: list[int]) -> None:
    """By method, by path and query, every k-th, at most n times; k and n count matching requests only."""
    plan = FaultPlan()
    plan.add(answer_status(500, scope))
    requests = [("GET", f"{DELTA}?$top=1"), ("POST", URLS)] * 3
    hits = [number for number, request in enumerate(requests) if plan.strike(*request).fault is not None]
    assert hits == struck


def test_the_first_fault_set_is_played_first() -> None:
    """The second one waits until the first is used up or removed, and does not count meanwhile."""
    plan = FaultPlan()
    plan.add(answer_status(500, Scope(times=1)))
    handle = plan.add(answer_status(503, Scope(times=2)))
    played = [plan.strike("GET", "/").fault for _ in range(2)]
    assert [fault.status for fault in played if fault] == [500, 503]
    plan.remove(handle)
    plan.remove(handle)
    assert plan.strike("GET", "/").fault is None


async def test_a_mailbox_serves_four_requests_at_a_time(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """The fifth gets 429 with Retry-After 1, which means: finish one first. Submissions are not concerned."""
    graph.faults.add(Fault(FaultKind.LATENCY, Scope(method="GET"), delay_s=0.1))
    answers = await asyncio.gather(*(client.get(DELTA) for _ in range(5)), client.get(URLS))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 1
    assert (refused[0].json()["error"]["code"], refused[0].headers["Retry-After"]) == ("ApplicationThrottled", "1")
    assert [record.throttle for record in graph.log.select() if record.status == 429] == ["mailbox_concurrency"]
    graph.control.set_mail_traps(MailTraps(concurrent_requests=5))
    assert {answer.status_code for answer in await asyncio.gather(*(client.get(DELTA) for _ in range(5)))} == {200}


async def test_the_log_keeps_what_was_sent_and_answered(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Headers of interest, path and query as sent, status, effect, in order."""
    headers = {"Prefer": "include-unknown-enum-members", "client-request-id": "c-1", "X-Other": "x"}
    posted = (await client.post(URLS, json=BODY, headers=headers)).json()["id"]
    await client.get(f"{URLS}?$top=1")
    first, second = graph.log.select()
    assert (first.sequence, first.method, first.path, first.query) == (1, "POST", URLS, "")
    assert (first.at, first.status, first.effect, first.fault) == (START, 201, posted, None)
    assert {name: first.headers[name] for name in ("prefer", "authorization", "client-request-id", "host")} == {
        "prefer": "include-unknown-enum-members",
        "authorization": "Bearer local",
        "client-request-id": "c-1",
        "host": graph.base_url.removeprefix("http://"),
    }
    assert "x-other" not in first.headers
    assert (second.sequence, second.query, second.effect, "prefer" in second.headers) == (2, "$top=1", None, False)


async def test_the_log_can_be_searched_and_cleared(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """By method, path pattern and sequence number; numbers go on after a clear."""
    await client.get(DELTA)
    await client.post(URLS, json=BODY)
    assert [record.path for record in graph.log.select(method="POST")] == [URLS]
    assert [record.path for record in graph.log.select(path=r"/delta$")] == [DELTA]
    assert [record.sequence for record in graph.log.select(after_sequence=1)] == [2]
    graph.log.clear()
    await client.get(DELTA)
    assert [record.sequence for record in graph.log.select()] == [3]


async def test_answers_carry_request_ids(client: httpx.AsyncClient) -> None:
    """The service's own and the client's, in headers and in errors, for the support case."""
    response = await client.get(f"{URLS}/none", headers={"client-request-id": "c-1"})
    inner = response.json()["error"]["innerError"]
    assert inner["request-id"] == response.headers["request-id"]
    assert inner["client-request-id"] == response.headers["client-request-id"] == "c-1"


async def test_a_client_that_leaves_midway_leaves_no_trace(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """A body that never came whole submits nothing and is logged as no request."""
    port = int(graph.base_url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST {URLS} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nhalf".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await client.get(DELTA)).status_code == 200
    assert [record.method for record in graph.log.select()] == ["GET"]
    assert graph.control.list_submissions() == ()
