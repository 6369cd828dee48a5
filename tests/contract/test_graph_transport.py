"""What each answer of a Graph over HTTP becomes: one kind of error, one request, nothing secret in it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from aiohttp import web

from shared.adapters.graph.identity import graph_authentication
from shared.adapters.graph.mail import GraphMail
from shared.adapters.graph.submissions import GraphThreatSubmissions
from shared.adapters.graph.transport import GraphTransport
from shared.domain.errors import AnswerLost, Gone, GraphError, NotAllowed, NotReady, NotSent, Refused, Throttled
from shared.domain.model import Category, Kind
from shared.domain.submissions import ReviewOrder, SubmissionOrder
from tests.support.outcomes import NOW

ORDER = SubmissionOrder(kind=Kind.URL, category=Category.PHISHING, attempt_id="a-1", url="https://evil.example/secret")
PATIENCE = httpx.Timeout(60.0)
"""Longer than a busy machine takes for anything: a connection that is not made in time is `NotSent`."""
LITTLE_PATIENCE = httpx.Timeout(60.0, read=0.3)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Graph:
    """A server that answers everything the same way, and what it was asked."""

    handle: Handler | None = None
    requests: list[web.Request] = field(default_factory=list)
    url: str = ""

    def answer(self, status: int = 200, text: str = "", **headers: str) -> None:
        """Answer so from now on; header names have `_` for `-`."""

        async def handle(_: web.Request) -> web.StreamResponse:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(status=status, text=text, headers=named)

        self.handle = handle

    async def receive(self, request: web.BaseRequest) -> web.StreamResponse:
        """Note a request and answer it."""
        assert isinstance(request, web.BaseRequest)
        self.requests.append(request)  # type: ignore[arg-type]
        await request.read()
        assert self.handle is not None
        return await self.handle(request)  # type: ignore[arg-type]


@dataclass
class Client:
    """The adapters under test."""

    transport: GraphTransport
    mail: GraphMail
    submissions: GraphThreatSubmissions


@pytest.fixture
async def graph() -> AsyncIterator[Graph]:
    """Yield a running server."""
    graph = Graph()
    runner = web.ServerRunner(web.Server(graph.receive))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    graph.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield graph
    await runner.cleanup()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Client]]:
    """Yield what makes a client of a base address; all are closed at the end."""
    async with AsyncExitStack() as resources:

        def make(url: str, patience: httpx.Timeout = PATIENCE) -> Client:
            transport = GraphTransport(url, graph_authentication(url, None), patience)
            resources.push_async_callback(transport.aclose)
            return Client(transport, GraphMail(transport), GraphThreatSubmissions(transport))

        yield make


@pytest.fixture
def client(graph: Graph, connect: Callable[[str], Client]) -> Client:
    """Return a client of the server."""
    return connect(graph.url)


def told(code: str = "SomeCode", message: str = "Some words.", **inner: Any) -> str:
    """Return an error body as Graph writes it."""
    return json.dumps({"error": {"code": code, "message": message, "innerError": {"request-id": "r-1", **inner}}})


async def failure(work: Awaitable[object]) -> GraphError:
    """Return the error that it raises, whose text holds nothing of what was sent."""
    with pytest.raises(GraphError) as raised:
        await work
    assert "secret" not in str(raised.value)
    return raised.value


STATUSES: list[tuple[int, type[GraphError]]] = [
    (301, AnswerLost),
    (302, AnswerLost),
    (307, AnswerLost),
    (400, Refused),
    (401, NotAllowed),
    (402, NotAllowed),
    (403, NotAllowed),
    (404, Refused),
    (405, Refused),
    (408, AnswerLost),
    (409, AnswerLost),
    (410, Gone),
    (413, Refused),
    (415, Refused),
    (422, Refused),
    (423, Refused),
    (429, Throttled),
    (500, AnswerLost),
    (502, AnswerLost),
    (503, AnswerLost),
    (504, AnswerLost),
    (507, AnswerLost),
]


@pytest.mark.parametrize("body", [told(), "<html>Sorry</html>", "", "[]", '{"error": "text"}', "null"])
@pytest.mark.parametrize(("status", "error"), STATUSES, ids=[str(status) for status, _ in STATUSES])
async def test_a_status_is_one_kind_of_error_whatever_the_body(
    graph: Graph, client: Client, status: int, error: type[GraphError], body: str
) -> None:
    """The status alone decides, and the POST is made once: no library repeats or redirects it."""
    graph.answer(status, body, Location="/elsewhere", Retry_After="1")
    found = await failure(client.submissions.submit(ORDER))
    assert (type(found), found.status) == (error, status)
    assert len(graph.requests) == 1


async def test_microsofts_words_are_kept(graph: Graph, client: Client) -> None:
    """Code, message and request id as Graph wrote them; the id from the header where the body has none."""
    graph.answer(400, told("BadRecipient", "No such recipient."), request_id="r-2")
    found = await failure(client.submissions.submit(ORDER))
    assert (found.code, found.message, found.request_id) == ("BadRecipient", "No such recipient.", "r-1")
    graph.answer(400, "<html>", request_id="r-2")
    found = await failure(client.submissions.submit(ORDER))
    assert (found.code, found.message, found.request_id) == (None, None, "r-2")


@pytest.mark.parametrize(
    ("status", "code", "message", "error"),
    [
        (400, "SyncStateNotFound", "", Gone),
        (404, "resyncRequired", "", Gone),
        (400, "x", "The metadata isn't available yet. Try again later.", NotReady),
        (429, "x", "The metadata isn't available yet.", Throttled),
    ],
)
async def test_a_few_words_decide_beside_the_status(
    graph: Graph, client: Client, status: int, code: str, message: str, error: type[GraphError]
) -> None:
    """An expired delta link, and mail whose metadata is not there yet."""
    graph.answer(status, told(code, message))
    assert type(await failure(client.submissions.submit(ORDER))) is error


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<html>Sign in</html>"),
        (200, ""),
        (201, ""),
        (201, "{}"),
        (201, '{"id": ""}'),
        (201, '{"id": 5}'),
        (201, "[]"),
        (201, '{"id": "x"'),
        (204, ""),
        (202, "null"),
        (201, "[" * 100_000),
    ],
)
async def test_a_success_without_a_submission_is_a_lost_answer(
    graph: Graph, client: Client, status: int, body: str
) -> None:
    """It may have had its effect; it is not repeated."""
    graph.answer(status, body)
    assert type(await failure(client.submissions.submit(ORDER))) is AnswerLost
    assert len(graph.requests) == 1


@pytest.mark.parametrize(("status", "error"), STATUSES, ids=[str(status) for status, _ in STATUSES])
async def test_a_review_fails_like_a_submission(
    graph: Graph, client: Client, status: int, error: type[GraphError]
) -> None:
    """Each status has its error, and the library repeats nothing."""
    graph.answer(status, told())
    order = ReviewOrder(submission_id="secret", category=Category.SPAM, attempt_id="a-1")
    assert type(await failure(client.submissions.review(order))) is error
    assert len(graph.requests) == 1


async def test_a_review_is_an_action_on_the_submission(graph: Graph, client: Client) -> None:
    """Its answer, 204, has no body; an id is one segment of the path, whatever is in it."""
    graph.answer(204)
    await client.submissions.review(ReviewOrder(submission_id="a/b?c", category=Category.SPAM, attempt_id="a-1"))
    (request,) = graph.requests
    path = "/beta/security/threatSubmission/emailThreats/a%2Fb%3Fc/review"
    assert (request.method, request.raw_path, request.content_type) == ("POST", path, "application/json")


async def test_an_error_of_any_depth_is_an_error(graph: Graph, client: Client) -> None:
    """Nested `innerError`s, and a body that would exhaust the stack, leave the status."""
    graph.answer(400, told(innererror={"innererror": {"code": "deep"}}))
    assert (await failure(client.submissions.submit(ORDER))).code == "SomeCode"
    graph.answer(400, '{"error":' * 50_000)
    found = await failure(client.submissions.submit(ORDER))
    assert (type(found), found.code) == (Refused, None)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0), ("17", 17), ("2.5", 2.5)],
)
async def test_retry_after_is_read_as_seconds(graph: Graph, client: Client, header: str, seconds: float) -> None:
    """A number."""
    graph.answer(429, told(), Retry_After=header)
    found = await failure(client.submissions.submit(ORDER))
    assert isinstance(found, Throttled)
    assert found.retry_after_s == seconds


async def test_retry_after_may_be_a_date(graph: Graph, client: Client) -> None:
    """Then it is how long it is until that date."""
    graph.answer(429, told(), Retry_After=format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True))
    found = await failure(client.submissions.submit(ORDER))
    assert isinstance(found, Throttled)
    assert found.retry_after_s is not None
    assert 3500 <= found.retry_after_s <= 3600


@pytest.mark.parametrize("header", [None, "", "soon", "nan", "inf", "1e400", "12 monkeys", "Mon, 99 Foo"])
async def test_an_unreadable_retry_after_is_none(graph: Graph, client: Client, header: str | None) -> None:
    """Then the product's own delay counts."""
    graph.answer(429, told(), **({} if header is None else {"Retry_After": header}))
    found = await failure(client.submissions.submit(ORDER))
    assert isinstance(found, Throttled)
    assert found.retry_after_s is None


async def test_a_claims_challenge_is_no_second_submission(graph: Graph, client: Client) -> None:
    """A 401 had no effect, so the library may ask once more with a new token; it is 401 all the same."""
    graph.answer(401, told(), WWW_Authenticate='Bearer realm="", error="insufficient_claims", claims="e30="')
    assert type(await failure(client.submissions.submit(ORDER))) is NotAllowed
    assert len(graph.requests) <= 2


async def test_what_could_not_be_connected_was_not_sent(connect: Callable[[str], Client]) -> None:
    """Nobody listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = connect(f"http://127.0.0.1:{taken.getsockname()[1]}")
        assert type(await failure(client.submissions.submit(ORDER))) is NotSent


@pytest.mark.parametrize("begin", ["nothing", "head", "half"])
async def test_a_connection_cut_after_sending_is_a_lost_answer(graph: Graph, client: Client, begin: str) -> None:
    """Before an answer, after its head, in the middle of its body."""

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=201, headers={"Content-Length": "100"})
        if begin != "nothing":
            await response.prepare(request)
        if begin == "half":
            await response.write(b'{"id": ')
        assert request.transport is not None
        request.transport.close()
        return response

    graph.handle = cut
    assert type(await failure(client.submissions.submit(ORDER))) is AnswerLost
    assert len(graph.requests) == 1


async def test_silence_is_a_lost_answer(graph: Graph, connect: Callable[..., Client]) -> None:
    """The request arrived; nobody knows what became of it."""
    done = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await done.wait()
        return web.Response()

    graph.handle = wait
    client = connect(graph.url, LITTLE_PATIENCE)
    assert type(await failure(client.submissions.submit(ORDER))) is AnswerLost
    done.set()


FOREIGN_LINKS = [
    "https://evil.example/v1.0/x",
    "http://127.0.0.1/x",
    "ftp://127.0.0.1/x",
    "http://[::1/x",
    "nonsense",
    "",
]


@pytest.mark.parametrize("link", [*FOREIGN_LINKS, "{own}@evil.example/x"])
async def test_a_link_to_elsewhere_is_never_asked_for(graph: Graph, client: Client, link: str) -> None:
    """Nobody sees a request, or a token; the link counts as expired."""
    assert type(await failure(client.transport.get("read", link.format(own=graph.url), {}))) is Gone
    assert graph.requests == []


async def test_a_link_without_a_host_is_graphs_own(graph: Graph, client: Client) -> None:
    """Two slashes do not lead elsewhere."""
    graph.answer(200, "{}")
    await client.transport.get("read", "//evil.example/x", {})
    assert [request.host for request in graph.requests] == [graph.url.removeprefix("http://")]


async def test_a_link_that_is_no_address_is_gone(graph: Graph, client: Client) -> None:
    """Graph's own host with a control character behind it: begin again, as with any other expired link."""
    assert type(await failure(client.transport.get("read", f"{graph.url}/x\x01", {}))) is Gone
    assert graph.requests == []


async def test_a_list_that_never_ends_is_given_up(graph: Graph, client: Client) -> None:
    """A next link that comes again, of whatever list: an error, and no request more."""

    async def same(_: web.Request) -> web.StreamResponse:
        return web.json_response({"value": [], "@odata.nextLink": f"{graph.url}/again"})

    graph.handle = same
    lists: list[Callable[[], Awaitable[object]]] = [
        lambda: client.submissions.listed(Kind.URL, NOW),
        lambda: client.mail.listed("bob@contoso.example", "inbox", NOW, f"{graph.url}/again"),
        lambda: client.mail.attachments("bob@contoso.example", "m"),
    ]
    for read in lists:
        graph.requests.clear()
        assert type(await failure(read())) is AnswerLost
        assert len(graph.requests) <= 2


@pytest.mark.parametrize("page", [{}, {"value": None}, {"value": "x"}, {"value": [], "@odata.nextLink": 5}])
async def test_a_page_that_is_none_is_a_lost_answer(graph: Graph, client: Client, page: dict[str, Any]) -> None:
    """What cannot be read to its end counts for nothing."""
    graph.answer(200, json.dumps(page))
    assert type(await failure(client.submissions.listed(Kind.URL, NOW))) is AnswerLost
    assert type(await failure(client.mail.attachments("bob@contoso.example", "m"))) is AnswerLost


async def test_a_row_that_is_none_spoils_the_list(graph: Graph, client: Client) -> None:
    """With a row missing nobody could be found missing."""
    graph.answer(200, json.dumps({"value": [{"id": "x"}, {"status": "running"}]}))
    assert type(await failure(client.submissions.listed(Kind.URL, NOW))) is AnswerLost
