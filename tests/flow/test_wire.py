"""What goes over the wire, read from the simulator's own log: headers, fields, hosts, and no request too many."""

import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from aiohttp import web
from azure.core.credentials import AccessToken
from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation

from local.graph_simulator import MailItem, RequestRecord, Scope
from local.graph_simulator.faults import answer_status, lose_answer, throttle
from local.sample_tenant import REPORTING_MAILBOX, attach_as_file
from shared.adapters.graph.identity import graph_authentication
from shared.adapters.graph.transport import GraphTransport
from shared.domain.errors import GraphError
from shared.domain.model import State
from tests.support.reports import (
    ANNA,
    BEN,
    ask,
    email_request,
    original,
    pass_time,
    posts,
    report,
    report_with,
    submissions,
    url_request,
)
from tests.support.stage import START, Stage, stage

SUBMISSIONS = "/beta/security/threatSubmission/"
MAILBOX = f"/v1.0/users/{quote(REPORTING_MAILBOX, safe='@')}/"
CANARY = "canary-that-nobody-may-visit"
FIELDS = {
    "mailFolders/inbox/messages/delta": {"id,subject,from,receivedDateTime"},
    "mailFolders/inbox/messages": {"id,subject,from,receivedDateTime"},
    "messages": {"id"},
    "messages/*": {"id,internetMessageId,subject,from,internetMessageHeaders", "internetMessageHeaders"},
    "messages/*/attachments/*/$value": set[str](),
}
EXPANDED = {"messages/*": {"attachments($select=id,name,contentType,size,isInline)"}}


async def put_everything(on: Stage) -> int:
    """Work of every kind, with links in all of it, and some faults; returns how many rows it makes."""
    link = f"{on.graph.base_url}/{CANARY}"
    lure = original("lure") + f'<a href="{link}">pay</a><img src="{link}.png">'.encode()
    report(on, lure)
    report_with(on, attach_as_file(original("by-another-maker")), subject="1|spam?")
    for name in ("by-id", "by-internet-id"):
        on.graph.tenant.add_mailbox(ANNA)
        on.graph.tenant.deliver(ANNA, delivered(name))
    by_id = (on.graph.tenant.find_mailbox(ANNA) or pytest.fail("no mailbox")).messages[0].regular_id
    uploads = on.ports.containers["submission-content"]
    await uploads.put("case.eml", original("uploaded", recipient=BEN))
    await uploads.put("player.htm", f'<script src="{link}.js"></script>'.encode())
    by_file = {name: value for name, value in url_request("file").items() if name != "url"}
    await ask(
        on,
        email_request({"content": "case.eml"}, recipient=BEN),
        email_request({"mailbox": ANNA, "messageId": by_id}),
        email_request({"mailbox": ANNA, "internetMessageId": "<by-internet-id@parcel-lure.test>"}),
        url_request("shop", url=link),
        {**by_file, "kind": "file", "file": {"name": "player.htm", "content": "player.htm"}},
    )
    return 7


def delivered(name: str) -> MailItem:
    """A mail in Anna's own mailbox."""
    return MailItem(
        from_address="desk@parcel-lure.test",
        subject="Your parcel",
        received_at=START,
        internet_message_id=f"<{name}@parcel-lure.test>",
        mime=original(name),
    )


@asynccontextmanager
async def run_of_everything() -> AsyncIterator[tuple[RequestRecord, ...]]:
    """The request log of a whole run, troubles and all, in which every row is settled."""
    async with stage() as on:
        rows = await put_everything(on)
        for fault in (throttle("60", once(2)), answer_status(503, once(3)), lose_answer(once(5))):
            on.graph.control.add_fault(fault)
        outcomes = await on.finish(rows=rows)
        assert {row.state for row in outcomes} == {State.SETTLED}
        await pass_time(on, timedelta(minutes=70), step=timedelta(minutes=10))
        yield on.graph.log.select()


def once(number: int) -> Scope:
    """The POST of that number."""
    return Scope(method="POST", every=number, times=1)


async def test_every_submission_call_asks_for_the_words_of_today() -> None:
    """Without `include-unknown-enum-members` the everyday verdicts come as `unknownFutureValue`."""
    async with run_of_everything() as log:
        asked = [one for one in log if one.path.startswith(SUBMISSIONS)]
        assert {one.headers.get("prefer") for one in asked} == {"include-unknown-enum-members"}
        assert {one.path.removeprefix(SUBMISSIONS) for one in asked} == {
            "emailThreats",
            "urlThreats",
            "fileThreats",
            "emailThreatSubmissionPolicies",
        }


async def test_every_report_is_read_by_its_immutable_id() -> None:
    """A regular id would change when the report is moved, and the row with it."""
    async with run_of_everything() as log:
        reads = [one for one in log if one.path.startswith(MAILBOX)]
        assert reads
        assert all('IdType="ImmutableId"' in one.headers["prefer"] for one in reads)


async def test_no_more_is_selected_than_is_used() -> None:
    """Each read names its fields, and they are the ones that the row needs."""
    async with run_of_everything() as log:
        selected: dict[str, set[str]] = {shape: set() for shape in FIELDS}
        expanded = defaultdict[str, set[str]](set)
        for one in log:
            if one.path.startswith("/v1.0/") and "token=" not in one.query:
                query = parse_qs(one.query)
                selected[shape_of(one.path)] |= set(query.get("$select", []))
                if "$expand" in query:
                    expanded[shape_of(one.path)] |= set(query["$expand"])
        assert (selected, expanded) == (FIELDS, EXPANDED)


def shape_of(path: str) -> str:
    """A mailbox path without the mailbox and with a star for each id."""
    shape = re.sub(r"^/v1\.0/users/[^/]+/", "", path)
    shape = re.sub(r"messages/(?!delta)[^/]+", "messages/*", shape)
    return re.sub(r"attachments/[^/]+", "attachments/*", shape)


async def test_the_token_goes_to_graph_alone() -> None:
    """On this machine it is `Bearer local` and nothing else, and every request goes to the one host."""
    async with stage() as on:
        await put_everything(on)
        await on.finish(rows=7)
        log = on.graph.log.select()
        assert {one.headers.get("authorization") for one in log} == {"Bearer local"}
        assert {f"http://{one.headers['host']}" for one in log} == {on.graph.base_url}


async def test_no_link_of_any_mail_is_followed() -> None:
    """Links, pictures, scripts and reported URLs are evidence: nothing ever asks for them."""
    async with run_of_everything() as log:
        assert not [one for one in log if CANARY in one.path or CANARY in one.query]
        assert {one.path.split("/")[2] for one in log} == {"users", "security"}


async def test_no_post_is_repeated_by_the_library() -> None:
    """Every POST is an attempt of its own with its own id; a refused one is not sent again behind our back."""
    async with run_of_everything() as log:
        sent = [one for one in log if one.method == "POST"]
        assert {one.status for one in sent} >= {201, 429, 503, None}
        assert set(Counter(one.headers["client-request-id"] for one in sent).values()) == {1}
        effects = Counter(one.effect for one in sent if one.effect)
        assert set(effects.values()) == {1}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_failed_post_is_exactly_one_request(status: int) -> None:
    """The SDK's own retry handler repeats POSTs on 429, 503 and 504: it must not be there."""
    async with stage() as on:
        on.graph.control.add_fault(answer_status(status, Scope(method="POST")))
        report(on, original("once"))
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        await on.deliver_submissions()
        assert posts(on) == 1
        assert not submissions(on)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """Wherever it leads, the token and the mail would go along."""
    visits: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        visits.append(request.path)
        return web.Response(status=status, headers={"Location": f"http://{request.host}/elsewhere"})

    async with serving(handle) as base_url, transport_to(base_url) as transport:
        with pytest.raises(GraphError):
            await transport.post_json("submit", "/beta/here", {}, b"{}", attempt_id="one")
        with pytest.raises(GraphError):
            await transport.get_json("read", "/v1.0/here", {})
    assert visits == ["/beta/here", "/v1.0/here"]


@asynccontextmanager
async def serving(handle: Any) -> AsyncIterator[str]:
    """A server on this machine that answers with `handle`."""
    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def transport_to(base_url: str) -> AsyncIterator[GraphTransport]:
    """The client, closed in the end."""
    transport = GraphTransport(base_url, graph_authentication(base_url, None))
    try:
        yield transport
    finally:
        await transport.aclose()


class CountingCredential:
    """A credential that remembers what it was asked for."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    async def get_token(self, *scopes: str, **_: object) -> AccessToken:
        """A token of its own kind."""
        self.scopes += scopes
        return AccessToken("secret-token", 4_102_444_800)

    async def close(self) -> None:
        """Nothing is open."""


async def authenticated(base_url: str, url: str, credential: CountingCredential) -> set[str]:
    """The Authorization header that a request to `url` gets where the app talks to `base_url`."""
    provider = graph_authentication(base_url, credential)  # type: ignore[arg-type] # all of it that is used
    request = RequestInformation()
    request.http_method = Method.GET
    request.url = url
    await provider.authenticate_request(request)
    return request.headers.get("Authorization") or set()


@pytest.mark.parametrize("base_url", ["https://graph.microsoft.com", "https://graph.microsoft.us"])
async def test_the_real_token_is_asked_for_and_sent_to_the_configured_host(base_url: str) -> None:
    """Its scope is that cloud's Graph."""
    credential = CountingCredential()
    assert await authenticated(base_url, f"{base_url}/beta/x", credential) == {"Bearer secret-token"}
    assert credential.scopes == [f"{base_url}/.default"]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/beta/x",
        "https://graph.microsoft.com.evil.test/beta/x",
        "https://graph.microsoft.com@evil.test/beta/x",
        "https://evil.test/graph.microsoft.com",
        "https://graph.microsoft.us/beta/x",
    ],
)
async def test_no_other_host_gets_the_token(url: str) -> None:
    """No header, and no token is even asked for."""
    credential = CountingCredential()
    assert await authenticated("https://graph.microsoft.com", url, credential) == set()
    assert credential.scopes == []


@pytest.mark.parametrize("link", ["https://evil.test/v1.0/x", "http://127.0.0.1:1/x", "ftp://x", "x"])
async def test_a_link_that_leads_elsewhere_is_not_followed(link: str) -> None:
    """Next links come from outside: only those of the configured host are asked."""
    async with transport_to("http://127.0.0.1:9") as transport:
        with pytest.raises(GraphError) as refused:
            await transport.get_json("read", link, {})
        assert refused.value.code == "foreign_link"
