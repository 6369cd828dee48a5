"""The threat submission part of the Graph simulator: validation, quota, verdicts, lists, reviews, the policy."""

import json
import re
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from local.graph_simulator import (
    GraphSimulator,
    MailItem,
    QuotaLimits,
    ReportDestination,
    RowShape,
    SimulatedTenant,
    SubmissionTraps,
    UserSubmission,
    Verdict,
)
from local.graph_simulator.answer import RefusedError
from local.graph_simulator.submission import MessageIdShown
from local.graph_simulator.vocabulary import (
    LATE_RESULT_CATEGORIES,
    LATE_RESULT_DETAILS,
    RESULT_CATEGORIES,
    RESULT_DETAILS,
)

ROOT = "/beta/security/threatSubmission"
EMAILS, URLS, FILES = f"{ROOT}/emailThreats", f"{ROOT}/urlThreats", f"{ROOT}/fileThreats"
ALL_MEMBERS = {"Prefer": "include-unknown-enum-members"}
TYPE = "#microsoft.graph.security."
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MAIL = (
    b"From: Evil <evil@evil.example>\r\nSubject: =?utf-8?q?Your_inv=C3=B6ice?=\r\nMessage-ID: <1@evil.example>\r\n"
    b"Date: Mon, 23 Nov 2026 08:00:00 +0000\r\nX-Forefront-Antispam-Report: CIP:203.0.113.9;CTRY:;\r\n"
)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """Return the instant the test chose."""
        return self.now

    def advance(self, **parts: float) -> None:
        """Move on by hours, minutes, seconds or milliseconds."""
        self.now += timedelta(**parts)


def make_mail(network_id: str, extra: bytes = b"") -> str:
    """Return a mail as base64."""
    return b64encode(
        MAIL + f"X-MS-Exchange-Organization-Network-Message-Id: {network_id}\r\n".encode() + extra + b"\r\nhi"
    ).decode()


def email_body(network_id: str = "n1", **changes: Any) -> dict[str, Any]:
    """Return a valid emailThreats body; a change to None leaves the property out."""
    body = {
        "@odata.type": f"{TYPE}emailContentThreatSubmission",
        "category": "phishing",
        "recipientEmailAddress": "bob@contoso.com",
        "fileContent": make_mail(network_id),
    } | changes
    return {name: value for name, value in body.items() if value is not None}


def url_body(url: str = "https://evil.example/", **changes: Any) -> dict[str, Any]:
    """Return a valid urlThreats body."""
    return {"@odata.type": f"{TYPE}urlThreatSubmission", "category": "phishing", "webUrl": url} | changes


def file_body(**changes: Any) -> dict[str, Any]:
    """Return a valid fileThreats body."""
    body = {"@odata.type": f"{TYPE}fileContentThreatSubmission", "category": "malware", "fileName": "a.exe"}
    return body | {"fileContent": "TVo="} | changes


def message_url_body(url: str, **changes: Any) -> dict[str, Any]:
    """Return an emailThreats body that points to a message."""
    return email_body(fileContent=None, messageUrl=url, **{"@odata.type": f"{TYPE}emailUrlThreatSubmission"} | changes)


REPORT = UserSubmission(mime=b64decode(make_mail("n1")), recipient="bob@contoso.com", reporter="bob@contoso.com")


@pytest.fixture
def clock() -> Clock:
    """Return the clock of the simulator."""
    return Clock()


@pytest.fixture
async def graph(clock: Clock) -> AsyncIterator[GraphSimulator]:
    """Serve a tenant whose verdicts take a minute."""
    policy = Verdict("threatsFound", "goodReclassifiedAsBad", delay_s=60)
    simulator = GraphSimulator(SimulatedTenant(), clock=clock, verdict_policy=lambda _: policy)
    async with simulator:
        yield simulator


@pytest.fixture
async def client(graph: GraphSimulator) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that sends a token and the Prefer header."""
    headers = {"Authorization": "Bearer local"} | ALL_MEMBERS
    async with httpx.AsyncClient(base_url=graph.base_url, headers=headers) as http:
        yield http


def read_code(response: httpx.Response) -> tuple[int, str]:
    """Return status and Graph error code."""
    return response.status_code, response.json()["error"]["code"]


async def test_a_submission_is_answered_with_the_documented_shape(client: httpx.AsyncClient) -> None:
    """201 with id, seven fractional digits, a running status and what the mail's headers say."""
    response = await client.post(EMAILS, json=email_body())
    row = response.json()
    assert response.status_code == 201
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", row["id"])
    assert row["createdDateTime"] == "2026-11-23T09:00:00.0000000Z"
    assert (row["status"], row["source"], row["contentType"]) == ("running", "administrator", "email")
    assert (row["result"]["category"], row["result"]["detail"]) == ("beingAnalyzed", "underInvestigation")
    assert (row["subject"], row["sender"], row["senderIP"]) == ("Your invöice", "evil@evil.example", "203.0.113.9")
    assert (row["internetMessageId"], row["receivedDateTime"]) == ("<1@evil.example>", "2026-11-23T08:00:00Z")
    assert row["recipientEmailAddress"] == "bob@contoso.com"


@pytest.mark.parametrize(("path", "body"), [(URLS, url_body()), (FILES, file_body())])
async def test_a_fresh_url_or_file_has_no_result_category(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    """Their result begins with a detail alone."""
    result = (await client.post(path, json=body)).json()["result"]
    assert result["detail"] == "underInvestigation"
    assert "category" not in result


@pytest.mark.parametrize(
    "changes",
    [
        {"@odata.type": None},
        {"@odata.type": "#microsoft.graph.emailContentThreatSubmission"},
        {"@odata.type": "microsoft.graph.security.emailContentThreatSubmission"},
        {"@odata.type": f"{TYPE}emailThreatSubmission"},
        {"@odata.type": f"{TYPE}urlThreatSubmission"},
        {"@odata.type": f"{TYPE}emailUrlThreatSubmission"},
        {"category": "notSpam"},
        {"category": "Phishing"},
        {"category": None},
        {"recipientEmailAddress": None},
        {"recipientEmailAddress": "bob"},
        {"recipientEmailAddress": "Bob <bob@contoso.com>"},
        {"recipientEmailAddress": "bob@evil.example"},
        {"fileContent": None},
        {"fileContent": 7},
        {"fileContent": "not base64!"},
        {"fileContent": b64encode(b"\xd0\xcf\x11\xe0 an Outlook file").decode()},
        {"fileContent": b64encode(b"no header here\r\n\r\nbody").decode()},
        {"source": "user"},
        {"messageUrl": "https://graph.microsoft.com/beta/users/x/messages/y"},
    ],
)
async def test_a_wrong_email_submission_is_refused(
    graph: GraphSimulator, client: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    """Every rule of the email body is checked; a refused one leaves nothing behind."""
    assert read_code(await client.post(EMAILS, json=email_body(**changes))) == (400, "BadRequest")
    assert graph.control.list_submissions() == ()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (URLS, url_body("evil.example")),
        (URLS, url_body("ftp://evil.example/")),
        (URLS, url_body(category="spam")),
        (URLS, url_body(tenantAllowOrBlockListAction={"action": "block"})),
        (URLS, url_body(**{"@odata.type": "#microsoft.graph.urlThreatSubmission"})),
        (FILES, file_body(fileName="")),
        (FILES, file_body(fileContent="***")),
        (FILES, file_body(**{"@odata.type": f"{TYPE}fileUrlThreatSubmission"})),
        (FILES, {"category": "malware", "fileName": "a.exe", "fileContent": "TVo="}),
        (EMAILS, []),
        (EMAILS, "text"),
    ],
)
async def test_a_wrong_url_or_file_submission_is_refused(client: httpx.AsyncClient, path: str, body: object) -> None:
    """The other kinds have rules of their own."""
    assert read_code(await client.post(path, json=body)) == (400, "BadRequest")


async def test_a_url_submission_needs_no_declared_type(client: httpx.AsyncClient) -> None:
    """Its type is concrete in the metadata."""
    body = url_body()
    del body["@odata.type"]
    assert (await client.post(URLS, json=body)).status_code == 201


@pytest.mark.parametrize(
    ("headers", "content", "expected"),
    [
        ({"Authorization": ""}, b"{}", (401, "InvalidAuthenticationToken")),
        ({"Authorization": "Basic x"}, b"{}", (401, "InvalidAuthenticationToken")),
        ({"Content-Type": "text/plain"}, b"{}", (415, "UnsupportedMediaType")),
        ({"Content-Type": "application/json"}, b"{", (400, "BadRequest")),
        ({"Content-Type": "application/json"}, b"\xff", (400, "BadRequest")),
        ({"Content-Type": "application/json"}, b"x" * (4 * 1024 * 1024 + 1), (413, "RequestEntityTooLarge")),
    ],
    ids=["no token", "not a bearer", "not json", "broken json", "not utf-8", "too large"],
)
async def test_a_request_is_refused_before_it_is_read(
    client: httpx.AsyncClient, headers: dict[str, str], content: bytes, expected: tuple[int, str]
) -> None:
    """Token, content type and size come before the body's rules."""
    assert read_code(await client.post(EMAILS, content=content, headers=headers)) == expected


async def test_there_is_no_threat_submission_in_version_one(client: httpx.AsyncClient) -> None:
    """The v1.0 path answers with the sentence that operators find in their logs."""
    error = (await client.get(EMAILS.replace("beta", "v1.0"))).json()["error"]
    assert error["message"] == "Resource not found for the segment 'threatSubmission'."


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{EMAILS}/none", 404),
        ("GET", f"{EMAILS}/none?$select=id", 400),
        ("PATCH", f"{EMAILS}/none", 405),
        ("DELETE", EMAILS, 405),
        ("GET", f"{ROOT}/teamsThreats", 400),
        ("GET", f"{URLS}/none/review", 400),
        ("GET", f"{EMAILS}/none/review", 405),
        ("GET", ROOT, 400),
    ],
)
async def test_other_paths_and_methods_are_refused(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    """What is not documented is not there."""
    assert (await client.request(method, path)).status_code == status


EXPIRY = "2026-12-23T09:00:00Z"


@pytest.mark.parametrize(
    ("category", "action", "status"),
    [
        ("notJunk", {"action": "allow", "expirationDateTime": EXPIRY, "note": "case 1"}, 201),
        ("phishing", {"action": "block", "expirationDateTime": "2026-12-23T10:00:00+01:00"}, 201),
        ("phishing", {"action": "allow"}, 400),
        ("notJunk", {"action": "block"}, 400),
        ("notJunk", {"action": "Allow"}, 400),
        ("notJunk", {"action": "allow", "expirationDateTime": "2026-12-23T09:00:01Z"}, 400),
        ("notJunk", {"action": "allow", "expirationDateTime": "2026-11-23T09:00:00Z"}, 400),
        ("notJunk", {"action": "allow", "expirationDateTime": "2026-12-01"}, 400),
        ("notJunk", {"action": "allow", "results": []}, 400),
        ("notJunk", {"action": "allow", "note": 1}, 400),
        ("notJunk", "allow", 400),
    ],
)
async def test_allow_and_block_entries_have_rules(
    client: httpx.AsyncClient, category: str, action: object, status: int
) -> None:
    """Allow goes with notJunk, block with the rest, and neither lasts longer than 30 days."""
    body = email_body(category=category, tenantAllowOrBlockListAction=action)
    assert (await client.post(EMAILS, json=body)).status_code == status


async def test_the_results_of_a_block_entry_come_with_the_verdict(client: httpx.AsyncClient, clock: Clock) -> None:
    """Until then they are null."""
    body = email_body(tenantAllowOrBlockListAction={"action": "block", "expirationDateTime": EXPIRY})
    first = (await client.post(EMAILS, json=body)).json()
    clock.advance(seconds=60)
    later = (await client.get(f"{EMAILS}/{first['id']}")).json()
    assert first["tenantAllowOrBlockListAction"]["results"] is None
    assert later["tenantAllowOrBlockListAction"]["results"][0]["status"] == "succeeded"


@pytest.fixture
def message_id(graph: GraphSimulator) -> str:
    """Return the immutable id of a mail in bob's mailbox."""
    graph.tenant.add_mailbox("bob@contoso.com")
    header = ("X-MS-Exchange-Organization-Network-Message-Id", "N1")
    item = MailItem(
        from_address="evil@evil.example",
        subject="hi",
        received_at=START,
        internet_message_id="<1@x>",
        headers=(header,),
    )
    return graph.tenant.deliver("bob@contoso.com", item)


@pytest.mark.parametrize("base", ["https://graph.microsoft.com/beta", "https://graph.microsoft.com/v1.0", "own"])
async def test_a_mail_can_be_submitted_by_its_url(
    graph: GraphSimulator, client: httpx.AsyncClient, message_id: str, base: str
) -> None:
    """Both versions and the simulator's own address lead to the message; its metadata is shown."""
    base = f"{graph.base_url}/beta" if base == "own" else base
    body = message_url_body(f"{base}/users/bob@contoso.com/messages/{quote(message_id)}")
    response = await client.post(EMAILS, json=body)
    assert (response.status_code, response.json()["subject"]) == (201, "hi")
    assert response.json()["@odata.type"].endswith("emailUrlThreatSubmission")


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://graph.microsoft.com/beta/users/bob@contoso.com/messages/none", 404),
        ("https://graph.microsoft.com/beta/users/nobody@contoso.com/messages/none", 404),
        ("https://graph.microsoft.com/v2/users/bob@contoso.com/messages/{id}", 400),
        ("https://graph.evil.example/beta/users/bob@contoso.com/messages/{id}", 400),
        ("https://graph.microsoft.com/beta/me/messages/{id}", 400),
        ("https://graph.microsoft.com/beta/users/bob@contoso.com/messages/{id}?$select=id", 400),
        ("{id}", 400),
    ],
)
async def test_a_message_url_must_lead_to_a_message_of_the_tenant(
    client: httpx.AsyncClient, message_id: str, url: str, status: int
) -> None:
    """Other hosts and forms are 400, other messages 404."""
    body = message_url_body(url.replace("{id}", quote(message_id)))
    assert (await client.post(EMAILS, json=body)).status_code == status


@pytest.mark.parametrize(("accepted", "status"), [("both", 201), ("immutable", 201), ("regular", 404)])
async def test_which_ids_a_message_url_takes_can_be_chosen(
    graph: GraphSimulator, client: httpx.AsyncClient, message_id: str, accepted: Any, status: int
) -> None:
    """Nobody knows whether the service takes immutable ids: try both."""
    graph.control.set_submission_traps(SubmissionTraps(message_ids=accepted))
    url = f"https://graph.microsoft.com/beta/users/bob@contoso.com/messages/{quote(message_id)}"
    assert (await client.post(EMAILS, json=message_url_body(url))).status_code == status


async def test_the_item_of_a_mail_is_network_message_id_and_recipient(
    client: httpx.AsyncClient, message_id: str
) -> None:
    """By content or by url, the same mail to the same person is the same item; to another person it is not."""
    url = f"https://graph.microsoft.com/beta/users/bob@contoso.com/messages/{quote(message_id)}"
    statuses = [
        (await client.post(EMAILS, json=body)).status_code
        for body in (
            email_body("n1"),
            email_body("n1", recipientEmailAddress="BOB@contoso.com", category="spam"),
            message_url_body(url),
            email_body("n1", recipientEmailAddress="alice@contoso.com"),
            email_body("n2"),
        )
    ]
    assert statuses == [201, 429, 429, 201, 201]


@pytest.mark.parametrize(("path", "body"), [(URLS, url_body()), (FILES, file_body()), (EMAILS, email_body())])
async def test_an_item_is_taken_once_in_15_minutes_and_3_times_in_24_hours(
    graph: GraphSimulator, client: httpx.AsyncClient, clock: Clock, path: str, body: dict[str, Any]
) -> None:
    """The fourth time waits until the first is a day old; the log names the rule."""
    seen = []
    for minutes in (0, 14, 1, 15, 15, 23 * 60 + 14, 1):
        clock.advance(minutes=minutes)
        response = await client.post(path, json=body)
        seen.append((response.status_code, response.headers.get("Retry-After")))
    assert seen == [(201, None), (429, "60"), (201, None), (201, None), (429, "83700"), (429, "60"), (201, None)]
    throttles = [record.throttle for record in graph.log.select(method="POST") if record.status == 429]
    assert throttles == ["item_15_min", "item_24_h", "item_24_h"]


async def test_the_tenant_has_150_submissions_in_any_15_minutes(
    graph: GraphSimulator, client: httpx.AsyncClient, clock: Clock
) -> None:
    """The window rolls: the 151st is taken just when the first is 15 minutes old, not before."""
    for number in range(150):
        assert (await client.post(URLS, json=url_body(f"https://evil.example/{number}"))).status_code == 201
        clock.advance(seconds=1)
    late = url_body("https://evil.example/late")
    refused = await client.post(URLS, json=late)
    assert (read_code(refused), refused.headers["Retry-After"]) == ((429, "TooManyRequests"), "750")
    clock.advance(seconds=749, milliseconds=999)
    assert (await client.post(URLS, json=late)).status_code == 429
    clock.advance(milliseconds=1)
    assert (await client.post(URLS, json=late)).status_code == 201
    assert {record.throttle for record in graph.log.select() if record.status == 429} == {"tenant_15_min"}


async def test_the_tenant_has_a_limit_for_24_hours(
    graph: GraphSimulator, client: httpx.AsyncClient, clock: Clock
) -> None:
    """It counts beyond the 15 minutes; limits can be changed while the simulator runs."""
    graph.control.set_quota_limits(QuotaLimits(tenant_per_24_h=2))
    statuses = []
    for number in range(4):
        statuses.append((await client.post(URLS, json=url_body(f"https://evil.example/{number}"))).status_code)
        clock.advance(hours=9)
    assert statuses == [201, 201, 429, 201]
    assert [record.throttle for record in graph.log.select()][2] == "tenant_24_h"


@pytest.mark.parametrize(
    ("limits", "waits"),
    [
        (QuotaLimits(), [None, "900"]),
        (QuotaLimits(tenant_per_24_h=1), [None, "86400"]),
        (QuotaLimits(tenant_per_15_min=0), ["900", "900"]),
    ],
)
async def test_the_longest_wait_is_the_one_to_tell(
    graph: GraphSimulator, client: httpx.AsyncClient, limits: QuotaLimits, waits: list[str | None]
) -> None:
    """Where two limits are hit, waiting for the shorter would be in vain; a limit of none never frees."""
    graph.control.set_quota_limits(limits)
    seen = [(await client.post(URLS, json=url_body())).headers.get("Retry-After") for _ in range(2)]
    assert seen == waits


async def test_people_in_the_portal_use_the_same_quota(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """What a person submits is missing to the app."""
    graph.control.use_portal_quota(149)
    graph.control.submit_in_portal("urlThreats", url_body("https://evil.example/by-hand"))
    assert (await client.post(URLS, json=url_body())).status_code == 429
    ((row,),) = [(await client.get(URLS)).json()["value"]]
    assert row["createdBy"]["email"] == "portal.admin@contoso.com"


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [("exact", "900"), ("absent", None), ("date", "Mon, 23 Nov 2026 09:15:00 GMT"), ("2", "2"), ("86400", "86400")],
)
async def test_retry_after_comes_in_every_form(
    graph: GraphSimulator, client: httpx.AsyncClient, retry_after: str, expected: str | None
) -> None:
    """Exact, absent, a date, too short, too long: all were promised or feared."""
    graph.control.set_submission_traps(SubmissionTraps(retry_after=retry_after))
    await client.post(URLS, json=url_body())
    assert (await client.post(URLS, json=url_body())).headers.get("Retry-After") == expected


def test_a_wrong_retry_after_is_a_mistake_of_the_test() -> None:
    """A misspelt trap does not pass silently."""
    with pytest.raises(ValueError, match="retry_after"):
        SubmissionTraps(retry_after="soon")


async def test_throttled_calls_may_count(graph: GraphSimulator, client: httpx.AsyncClient, clock: Clock) -> None:
    """With the trap set, hammering keeps the door shut."""
    graph.control.set_submission_traps(SubmissionTraps(throttled_calls_count=True))
    await client.post(URLS, json=url_body())
    clock.advance(minutes=14)
    await client.post(URLS, json=url_body())
    clock.advance(minutes=1)
    assert (await client.post(URLS, json=url_body())).status_code == 429


async def test_a_verdict_comes_after_its_delay(client: httpx.AsyncClient, clock: Clock) -> None:
    """Running to the last moment, then settled for good."""
    url = f"{EMAILS}/{(await client.post(EMAILS, json=email_body())).json()['id']}"
    clock.advance(seconds=59.999)
    assert (await client.get(url)).json()["status"] == "running"
    clock.advance(seconds=0.001)
    row = (await client.get(url)).json()
    assert (row["status"], row["result"]["category"]) == ("succeeded", "threatsFound")
    assert row["result"]["detail"] == "goodReclassifiedAsBad"


async def test_a_submission_may_be_settled_at_once(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """The doc samples show `succeeded` straight from POST."""
    graph.control.set_submission_traps(SubmissionTraps(settle_at_once=True))
    assert (await client.post(EMAILS, json=email_body())).json()["status"] == "succeeded"


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        (b"noThreatsFound/goodReclassifiedAsGood", ("succeeded", "noThreatsFound", "goodReclassifiedAsGood")),
        (b"itemNotfound/messageNotFound/failed", ("failed", "itemNotfound", "messageNotFound")),
        (b"nonsense/none", ("succeeded", "threatsFound", "goodReclassifiedAsBad")),
        (b"spam/nonsense", ("succeeded", "threatsFound", "goodReclassifiedAsBad")),
        (b"clean", ("succeeded", "threatsFound", "goodReclassifiedAsBad")),
    ],
)
async def test_a_mail_may_name_its_verdict(
    client: httpx.AsyncClient, marker: bytes, expected: tuple[str, str, str]
) -> None:
    """A sample mail carries its verdict and its delay; what is no verdict is ignored."""
    extra = b"X-Sample-Verdict: " + marker + b"\r\nX-Sample-Verdict-Delay-S: 0\r\n"
    row = (await client.post(EMAILS, json=email_body(fileContent=make_mail("n1", extra)))).json()
    assert (row["status"], row["result"]["category"], row["result"]["detail"]) == expected


async def test_a_verdict_can_be_set_for_an_item(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """By url, file name or network message id, and by `*` for all others."""
    for item in ("https://evil.example/", "a.exe", "n1", "*"):
        graph.control.set_verdict(item, Verdict("spam", "itemFoundSpam" if item == "*" else "none"))
    bodies = [(URLS, url_body()), (FILES, file_body()), (EMAILS, email_body("n1")), (EMAILS, email_body("n2"))]
    rows = [(await client.post(path, json=body)).json() for path, body in bodies]
    assert [row["result"]["detail"] for row in rows] == ["none", "none", "none", "itemFoundSpam"]


async def test_the_usual_verdicts_depend_on_the_content_alone(client: httpx.AsyncClient, graph: GraphSimulator) -> None:
    """Two simulators give the same mail the same verdict after the same time; most claims are right."""

    async def submit_all() -> list[tuple[str, str, float]]:
        graph.control.reset()
        for number in range(100):
            await client.post(URLS, json=url_body(f"https://evil.example/{number}"))
        return [
            (one.result_category, one.result_detail, (one.settles_at - START).total_seconds())
            for one in graph.control.list_submissions()
        ]

    first, second = await submit_all(), await submit_all()
    assert first == second
    assert {category for category, _, _ in first} <= RESULT_CATEGORIES
    assert {detail for _, detail, _ in first} <= RESULT_DETAILS
    assert 45 <= Counter(category for category, _, _ in first)["threatsFound"] <= 75
    assert min(delay_s for _, _, delay_s in first) >= 5
    assert max(delay_s for _, _, delay_s in first) <= 120


@pytest.mark.parametrize(
    ("category", "detail", "expected"),
    [
        ("threatsFound", "itemFoundMalicious", ("unknownFutureValue", "unknownFutureValue")),
        ("phishing", "goodReclassifiedAsBad", ("phishing", "goodReclassifiedAsBad")),
    ],
)
async def test_late_enum_members_need_the_prefer_header(
    graph: GraphSimulator, client: httpx.AsyncClient, category: str, detail: str, expected: tuple[str, str]
) -> None:
    """Without it the everyday outcomes read unknownFutureValue: on POST, on GET and in lists."""
    graph.control.set_verdict("*", Verdict(category, detail))
    plain = {"Prefer": "respond-async"}
    posted = (await client.post(EMAILS, json=email_body(), headers=plain)).json()
    read = (await client.get(f"{EMAILS}/{posted['id']}", headers=plain)).json()
    (listed,) = (await client.get(EMAILS, headers=plain)).json()["value"]
    assert {(row["result"]["category"], row["result"]["detail"]) for row in (posted, read, listed)} == {expected}
    full = (await client.get(f"{EMAILS}/{posted['id']}")).json()["result"]
    assert (full["category"], full["detail"]) == (category, detail)


def test_the_vocabulary_is_complete() -> None:
    """28 categories, 18 of them late; 71 details, 17 of them late."""
    sizes = [len(words) for words in (RESULT_CATEGORIES, LATE_RESULT_CATEGORIES, RESULT_DETAILS, LATE_RESULT_DETAILS)]
    assert sizes == [28, 18, 71, 17]


async def test_the_creator_comes_flat_or_nested(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Metadata and doc samples disagree, so both are spoken; so are subject and emailSubject."""
    flat = (await client.post(EMAILS, json=email_body("n1"))).json()
    graph.control.set_submission_traps(SubmissionTraps(created_by="nested", subject_key="emailSubject"))
    nested = (await client.post(EMAILS, json=email_body("n2"))).json()
    assert set(flat["createdBy"]) == {"id", "displayName", "email"}
    assert set(nested["createdBy"]["user"]) == {"identity", "displayName", "email"}
    assert "subject" not in nested
    assert nested["emailSubject"] == flat["subject"]


async def submit_urls(client: httpx.AsyncClient, count: int) -> list[str]:
    """Submit urls and return the ids in the order of submission."""
    bodies = [url_body(f"https://evil.example/{number}") for number in range(count)]
    return [(await client.post(URLS, json=body)).json()["id"] for body in bodies]


async def test_a_list_pages_in_no_useful_order(client: httpx.AsyncClient) -> None:
    """Every row comes once, in pages, counted, and not in the order of submission."""
    ids = await submit_urls(client, 7)
    page = (await client.get(f"{URLS}?$top=3&$count=true")).json()
    rows, sizes = list(page["value"]), [len(page["value"])]
    assert page["@odata.count"] == 7
    while "@odata.nextLink" in page:
        page = (await client.get(page["@odata.nextLink"])).json()
        rows += page["value"]
        sizes.append(len(page["value"]))
    listed = [row["id"] for row in rows]
    assert sizes == [3, 3, 1]
    assert sorted(listed) == sorted(ids)
    assert listed != ids


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("category eq 'phishing'", 2),
        ("category eq 'phishing' or category eq 'malware'", 3),
        ("source eq 'user'", 0),
        ("(source eq 'user' or source eq 'administrator') and category eq 'malware'", 1),
        ("status eq 'running'", 1),
        ("status eq 'succeeded' and createdDateTime lt 2026-11-23T09:30:00Z", 1),
        ("createdDateTime ge 2026-11-23T09:30:00Z", 2),
        ("createdDateTime gt 2026-11-23T09:30:00Z and createdDateTime le 2026-11-23T10:00:00+00:00", 1),
        ("createdBy/email eq 'portal.admin@contoso.com'", 1),
    ],
)
async def test_lists_take_the_documented_filters(
    graph: GraphSimulator, client: httpx.AsyncClient, clock: Clock, text: str, expected: int
) -> None:
    """Each comparison, joined by and, or and parentheses."""
    await client.post(URLS, json=url_body("https://evil.example/1"))
    clock.advance(minutes=30)
    await client.post(URLS, json=url_body("https://evil.example/2", category="malware"))
    clock.advance(minutes=30)
    graph.control.submit_in_portal("urlThreats", url_body("https://evil.example/3"))
    response = await client.get(URLS, params={"$filter": text})
    assert len(response.json()["value"]) == expected


@pytest.mark.parametrize(
    "query",
    [
        "$orderby=createdDateTime",
        "$select=id",
        "$expand=result",
        "$search=x",
        "$skip=1",
        "$top=0",
        "$top=1001",
        "$top=x",
        "$count=maybe",
        "$skiptoken=%C3%A9",
        "$filter=internetMessageId eq 'x'",
        "$filter=recipientEmailAddress eq 'x'",
        "$filter=category eq 'notSpam'",
        "$filter=category ne 'spam'",
        "$filter=category eq spam",
        "$filter=createdDateTime eq 2026-11-23T09:00:00Z",
        "$filter=createdDateTime ge '2026-11-23T09:00:00Z'",
        "$filter=createdDateTime ge 2026-11-23T09:00:00",
        "$filter=(category eq 'spam'",
        "$filter=category eq 'spam')",
        "$filter=category eq 'spam' and",
        "$filter=category eq 'spam",
        "$filter=contains(category,'spam')",
    ],
)
async def test_lists_refuse_what_is_not_documented(client: httpx.AsyncClient, query: str) -> None:
    """The generated clients offer more than the service takes."""
    assert read_code(await client.get(f"{URLS}?{query}")) == (400, "BadRequest")


async def test_list_rows_often_lack_their_internet_message_id(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """A share of rows, always the same ones, and only in lists."""
    ids = [(await client.post(EMAILS, json=email_body(f"n{number}"))).json()["id"] for number in range(40)]
    first, second = [(await client.get(EMAILS)).json()["value"] for _ in range(2)]
    empty = [row["id"] for row in first if row["internetMessageId"] == ""]
    assert 10 <= len(empty) <= 30
    assert first == second
    assert (await client.get(f"{EMAILS}/{empty[0]}")).json()["internetMessageId"] == "<1@evil.example>"
    graph.control.set_submission_traps(SubmissionTraps(empty_message_id_share=0))
    assert len([row for row in (await client.get(EMAILS)).json()["value"] if row["internetMessageId"]]) == len(ids)


async def test_a_new_submission_may_be_missing_from_lists_for_a_while(
    graph: GraphSimulator, client: httpx.AsyncClient, clock: Clock
) -> None:
    """With the trap set, who looks too early does not find it."""
    graph.control.set_submission_traps(SubmissionTraps(list_lag_s=30))
    (key,) = await submit_urls(client, 1)
    assert (await client.get(URLS)).json()["value"] == []
    assert (await client.get(f"{URLS}/{key}")).status_code == 200
    clock.advance(seconds=30)
    assert len((await client.get(URLS)).json()["value"]) == 1


async def test_reports_of_users_are_listed_only_if_they_reach_microsoft(
    graph: GraphSimulator, client: httpx.AsyncClient
) -> None:
    """In a mailbox-only tenant the API has no user rows; reports use none of the admins' quota."""
    key = graph.control.submit_as_user(REPORT)
    assert (await client.get(EMAILS)).json()["value"] == []
    graph.control.set_report_destination(ReportDestination(to_microsoft=True))
    (row,) = (await client.get(f"{EMAILS}?$filter=source eq 'user'")).json()["value"]
    assert (row["id"], row["source"], row["createdBy"]["email"]) == (key, "user", "bob@contoso.com")
    assert (await client.post(EMAILS, json=email_body())).status_code == 201


async def test_a_users_submission_shows_who_reported_what(
    graph: GraphSimulator, client: httpx.AsyncClient, clock: Clock
) -> None:
    """Facts from the mail's headers; the user's choice and the filter's verdict differ; the verdict comes later."""
    graph.control.set_report_destination(ReportDestination(to_microsoft=True))
    verdict = Verdict("spam", "itemFoundSpam", delay_s=60)
    report = replace(REPORT, recipient="eve@contoso.com", category="spam", original_category="notJunk", verdict=verdict)
    key = graph.control.submit_as_user(report)
    row = (await client.get(f"{EMAILS}/{key}")).json()
    assert (row["source"], row["clientSource"], row["contentType"]) == ("user", "microsoft", "email")
    assert (row["category"], row["originalCategory"], row["status"]) == ("spam", "notJunk", "running")
    assert (row["createdBy"]["email"], row["recipientEmailAddress"]) == ("bob@contoso.com", "eve@contoso.com")
    assert (row["sender"], row["senderIP"], row["subject"]) == ("evil@evil.example", "203.0.113.9", "Your invöice")
    assert (row["internetMessageId"], row["receivedDateTime"]) == ("<1@evil.example>", "2026-11-23T08:00:00Z")
    assert (row["attackSimulationInfo"], row["tenantAllowOrBlockListAction"]) == (None, None)
    clock.advance(seconds=60)
    row = (await client.get(f"{EMAILS}/{key}")).json()
    assert (row["status"], row["result"]["category"], row["result"]["detail"]) == ("succeeded", "spam", "itemFoundSpam")


async def test_a_users_submission_may_be_older_than_now(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """It is listed by the instant of the report, and its verdict counts from there."""
    graph.control.set_report_destination(ReportDestination(to_microsoft=True))
    graph.control.submit_as_user(replace(REPORT, at=START - timedelta(days=2)))
    (row,) = (
        await client.get(f"{EMAILS}?$filter=source eq 'user' and createdDateTime lt 2026-11-22T00:00:00Z")
    ).json()["value"]
    assert (row["createdDateTime"], row["status"]) == ("2026-11-21T09:00:00.0000000Z", "succeeded")
    newer = await client.get(f"{EMAILS}?$filter=source eq 'user' and createdDateTime ge 2026-11-22T00:00:00Z&$top=5")
    assert newer.json()["value"] == []


@pytest.mark.parametrize(
    ("shown", "in_list", "alone"),
    [
        ("always", "<1@evil.example>", "<1@evil.example>"),
        ("outside_lists", "", "<1@evil.example>"),
        ("never", "", ""),
    ],
)
async def test_a_report_chooses_where_its_message_id_is_empty(
    graph: GraphSimulator, client: httpx.AsyncClient, shown: MessageIdShown, in_list: str, alone: str
) -> None:
    """Whatever the share of empty ones among the others."""
    graph.control.set_report_destination(ReportDestination(to_microsoft=True))
    graph.control.set_submission_traps(SubmissionTraps(empty_message_id_share=1.0 if shown == "always" else 0.0))
    key = graph.control.submit_as_user(replace(REPORT, shape=RowShape(message_id=shown)))
    (row,) = (await client.get(EMAILS)).json()["value"]
    assert row["internetMessageId"] == in_list
    assert (await client.get(f"{EMAILS}/{key}")).json()["internetMessageId"] == alone


async def test_rows_of_both_shapes_stand_in_one_list(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """A report may choose the shape of its creator and the name of its subject."""
    graph.control.set_report_destination(ReportDestination(to_microsoft=True))
    graph.control.submit_as_user(REPORT)
    graph.control.submit_as_user(replace(REPORT, shape=RowShape(created_by="nested", subject_key="emailSubject")))
    rows = (await client.get(f"{EMAILS}?$filter=createdBy/email eq 'bob@contoso.com'")).json()["value"]
    assert {("user" in row["createdBy"], "emailSubject" in row) for row in rows} == {(False, False), (True, True)}


async def test_a_reported_simulation_is_marked(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """By attackSimulationInfo and by the verdict, unless the test chose another one."""
    graph.control.set_report_destination(ReportDestination(to_microsoft=True))
    for verdict in (None, Verdict("spam", "itemFoundSpam")):
        graph.control.submit_as_user(replace(REPORT, attack_simulation_id="a-1", verdict=verdict))
    rows = (await client.get(EMAILS)).json()["value"]
    assert {row["attackSimulationInfo"]["attackSimId"] for row in rows} == {"a-1"}
    assert {row["result"]["category"] for row in rows} == {"phishingSimulation", "spam"}


async def test_a_report_that_stayed_in_the_mailbox_is_unknown_to_microsoft(
    graph: GraphSimulator, client: httpx.AsyncClient
) -> None:
    """Not in the list, not by its id, not for a review."""
    key = graph.control.submit_as_user(REPORT)
    assert (await client.get(EMAILS)).json()["value"] == []
    assert (await client.get(f"{EMAILS}/{key}")).status_code == 404
    assert (await client.post(f"{EMAILS}/{key}/review", json={"category": "phishing"})).status_code == 404


async def test_users_use_none_of_the_admins_quota(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Three reports of one mail, and the app may still submit it, once."""
    graph.control.set_quota_limits(QuotaLimits(tenant_per_15_min=1))
    for _ in range(3):
        graph.control.submit_as_user(REPORT)
    assert [(await client.post(EMAILS, json=email_body())).status_code for _ in range(2)] == [201, 429]


def test_a_report_to_nobody_in_the_tenant_is_a_mistake(graph: GraphSimulator) -> None:
    """The service knows reports of its own mailboxes only."""
    with pytest.raises(RefusedError, match="does not belong"):
        graph.control.submit_as_user(replace(REPORT, recipient="bob@elsewhere.example"))


@pytest.mark.parametrize(("category", "shown"), [("notSpam", "notJunk"), ("JUNK", "spam"), ("phishing", "phishing")])
async def test_a_users_report_can_be_reviewed(
    graph: GraphSimulator, client: httpx.AsyncClient, category: str, shown: str
) -> None:
    """The review has words of its own and leaves an adminReview."""
    graph.control.set_report_destination(ReportDestination(to_microsoft=True))
    key = graph.control.submit_as_user(REPORT)
    response = await client.post(f"{EMAILS}/{key}/review", json={"category": category})
    assert (response.status_code, response.content) == (204, b"")
    assert (await client.get(f"{EMAILS}/{key}")).json()["adminReview"]["reviewResult"] == shown


@pytest.mark.parametrize(
    ("whose", "body", "status"),
    [
        ("admin", {"category": "phishing"}, 400),
        ("user", {"category": "notJunk"}, 400),
        ("user", {"category": 1}, 400),
        ("user", {}, 400),
        ("user", {"category": "phishing", "note": "x"}, 400),
        ("nobody", {"category": "phishing"}, 404),
    ],
)
async def test_a_wrong_review_is_refused(
    graph: GraphSimulator, client: httpx.AsyncClient, whose: str, body: dict[str, Any], status: int
) -> None:
    """Only users' reports, only with the review's own words."""
    graph.control.set_report_destination(ReportDestination(to_microsoft=True))
    keys = {"user": graph.control.submit_as_user(REPORT), "nobody": "none"}
    keys["admin"] = (await client.post(EMAILS, json=email_body())).json()["id"]
    assert (await client.post(f"{EMAILS}/{keys[whose]}/review", json=body)).status_code == status


async def test_the_policy_says_where_reports_go(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """One policy exists, under one id; it follows the tenant."""
    url = f"{ROOT}/emailThreatSubmissionPolicies"
    graph.control.set_report_destination(ReportDestination(to_microsoft=False, mailbox="reports@contoso.com"))
    (listed,) = (await client.get(url)).json()["value"]
    single = (await client.get(f"{url}/DefaultReportSubmissionPolicy")).json()
    assert listed == single
    assert single["isReportToMicrosoftEnabled"] is False
    assert single["customizedReportRecipientEmailAddress"] == "reports@contoso.com"
    assert (await client.get(f"{url}/Other")).status_code == 404
    assert (await client.post(url, json={})).status_code == 405


@pytest.mark.parametrize(
    "head",
    [
        b"Subject: =?nonsense?b?!!!?=\r\nDate: yesterday\r\nX-Sample-Verdict-Delay-S: soon\r\n",
        b"Subject: \x00\xff\xfe\r\nFrom: <<>>\r\nDate: Mon, 99 Nov 20260 99:00:00 +9999\r\n",
        b"Subject: =?utf-8?q?=ED=A0=80?=\r\nX-Sample-Verdict-Delay-S: nan\r\n",
        b"X: " + b"y" * 300_000,
    ],
)
async def test_hostile_headers_never_break_a_submission(client: httpx.AsyncClient, head: bytes) -> None:
    """What cannot be read is left empty; the answer is valid JSON all the same."""
    body = email_body(fileContent=b64encode(head + b"\r\n\r\nbody").decode())
    response = await client.post(EMAILS, json=body)
    assert response.status_code == 201
    assert json.loads(response.content)["category"] == "phishing"


async def test_real_mail_is_accepted(
    graph: GraphSimulator, client: httpx.AsyncClient, reported_mail: list[Path]
) -> None:
    """Every mail of the optional collection is a valid submission; nearly all show where they came from."""
    graph.control.set_quota_limits(QuotaLimits(tenant_per_15_min=1000, item_per_15_min=1000, item_per_24_h=1000))
    for path in reported_mail:
        body = email_body(fileContent=b64encode(path.read_bytes()).decode())
        assert (await client.post(EMAILS, json=body)).status_code == 201, path.name
    read = [one.request for one in graph.control.list_submissions()]
    assert sum(1 for one in read if one.network_message_id and one.sender_ip and one.subject) > 0.95 * len(read)
