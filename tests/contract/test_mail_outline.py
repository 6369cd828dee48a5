"""A mail's headers and attachments in one request, and how they are had from a Graph that does not take that one."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import web

from local.graph_simulator import FileAttachment, GraphSimulator, ItemAttachment, MailTraps, Scope, SimulatedTenant
from local.graph_simulator.faults import answer_status
from local.graph_simulator.mail_item import MailItem, ReferenceAttachment
from shared.adapters.graph.identity import graph_authentication
from shared.adapters.graph.mail import GraphMail
from shared.adapters.graph.transport import GraphTransport
from shared.domain.errors import AnswerLost, GraphError, Refused
from shared.ports import MailOutline
from tests.support.stage import START

BOX = "box@contoso.example"
HEADERS = (("Received", "second"), ("Received", "first"), ("X-MS-Exchange-Organization-AuthAs", "Internal"))
LARGE = b"x" * 2_000_000
ATTACHMENTS = (
    ItemAttachment("Invoice", b"Subject: original\r\n\r\nbody"),
    FileAttachment("movie.zip", "application/zip", LARGE),
    ReferenceAttachment("shared.docx", "https://contoso.sharepoint.com/shared.docx"),
)
TOGETHER = Scope(path="expand")


@dataclass
class Tenant:
    """A mailbox behind HTTP, and the adapter before it."""

    graph: GraphSimulator
    mail: GraphMail

    def deliver(
        self, *attachments: ItemAttachment | FileAttachment | ReferenceAttachment, has_headers: bool = True
    ) -> str:
        """Deliver a mail; returns its id."""
        item = MailItem(
            from_address="anna@contoso.example",
            subject="3|look",
            received_at=START,
            internet_message_id="<1@contoso.example>",
            headers=HEADERS if has_headers else (),
            attachments=attachments,
        )
        return self.graph.tenant.deliver(BOX, item)

    async def outline(self, message_id: str) -> tuple[MailOutline, int]:
        """The outline, and how many requests it took."""
        before = len(self.graph.log.select())
        outline = await self.mail.outline(BOX, message_id)
        return outline, len(self.graph.log.select()) - before


@asynccontextmanager
async def opened(base_url: str) -> AsyncIterator[GraphMail]:
    """The adapter before a Graph."""
    transport = GraphTransport(base_url, graph_authentication(base_url, None))
    try:
        yield GraphMail(transport)
    finally:
        await transport.aclose()


@pytest.fixture
async def tenant() -> AsyncIterator[Tenant]:
    """Yield a tenant with one mailbox."""
    simulated = SimulatedTenant()
    simulated.add_mailbox(BOX)
    async with AsyncExitStack() as resources:
        graph = await resources.enter_async_context(GraphSimulator(simulated, clock=lambda: START))
        yield Tenant(graph, await resources.enter_async_context(opened(graph.base_url)))


def assert_whole(outline: MailOutline) -> None:
    """It tells of every header and attachment, in their order."""
    assert outline.headers == HEADERS
    assert [(one.kind, one.name, one.size_bytes) for one in outline.attachments] == [
        ("item", "Invoice", 25),
        ("file", "movie.zip", len(LARGE)),
        ("reference", "shared.docx", 0),
    ]


async def test_one_request_tells_headers_and_attachments(tenant: Tenant) -> None:
    """Time and again: no byte of a file came with it, or the two would be asked for apart from then on."""
    message_id = tenant.deliver(*ATTACHMENTS)
    for _ in range(2):
        outline, requests = await tenant.outline(message_id)
        assert_whole(outline)
        assert requests == 1


async def test_a_graph_that_refuses_the_two_together_is_asked_apart(tenant: Tenant) -> None:
    """The mail in hand loses nothing, and the refusal is met once."""
    tenant.graph.control.set_mail_traps(MailTraps(refuse_expand=True))
    message_id = tenant.deliver(*ATTACHMENTS)
    for expected in (3, 2, 2):
        outline, requests = await tenant.outline(message_id)
        assert_whole(outline)
        assert requests == expected


async def test_a_graph_that_sends_the_bytes_unasked_is_asked_apart(tenant: Tenant) -> None:
    """Bytes that nobody asked for are read once and then never again."""
    tenant.graph.control.set_mail_traps(MailTraps(expand_whole=True))
    message_id, plain = tenant.deliver(*ATTACHMENTS), tenant.deliver(ATTACHMENTS[0])
    for expected in (1, 2, 2):
        outline, requests = await tenant.outline(message_id)
        assert_whole(outline)
        assert requests == expected
    assert (await tenant.outline(plain))[1] == 2


@pytest.mark.parametrize(("status", "later"), [(400, 2), (501, 2), (500, 1)])
async def test_an_error_of_a_service_that_does_not_know_the_request_is_no_failure(
    tenant: Tenant, status: int, later: int
) -> None:
    """500 may be in passing as well: the next mail is asked for in one request again."""
    message_id = tenant.deliver(*ATTACHMENTS)
    handle = tenant.graph.control.add_fault(answer_status(status, TOGETHER))
    outline, requests = await tenant.outline(message_id)
    assert_whole(outline)
    assert requests == 3
    tenant.graph.control.remove_fault(handle)
    assert (await tenant.outline(message_id))[1] == later


@pytest.mark.parametrize(
    ("status", "error", "requests"),
    [(404, Refused, 1), (403, GraphError, 1), (503, AnswerLost, 1), (500, AnswerLost, 2)],
)
async def test_what_fails_apart_as_well_has_failed(
    tenant: Tenant, status: int, error: type[GraphError], requests: int
) -> None:
    """A mail that is gone, a mailbox that is closed, an outage: told as what it is, and nothing is learnt from it."""
    message_id = tenant.deliver(*ATTACHMENTS)
    handle = tenant.graph.control.add_fault(answer_status(status, Scope(path="/messages/")))
    with pytest.raises(error):
        await tenant.mail.outline(BOX, message_id)
    assert len(tenant.graph.log.select()) == requests
    tenant.graph.control.remove_fault(handle)
    assert (await tenant.outline(message_id))[1] == 1


async def test_a_mail_without_headers_is_asked_for_them_once_more(tenant: Tenant) -> None:
    """What decides whether a report is believed is not taken from an answer that leaves it out."""
    outline, requests = await tenant.outline(tenant.deliver(ATTACHMENTS[0], has_headers=False))
    assert (outline.headers, len(outline.attachments), requests) == ((), 1, 2)
    outline, requests = await tenant.outline(tenant.deliver())
    assert (outline.headers, outline.attachments, requests) == (HEADERS, (), 1)


Answers = dict[str, object]


@asynccontextmanager
async def canned(answer: Callable[[str], Answers]) -> AsyncIterator[GraphMail]:
    """The adapter before a server that answers by the path and query."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(answer(request.path_qs))

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with opened(f"http://127.0.0.1:{runner.addresses[0][1]}") as mail:
            yield mail
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"attachments": None},
        {"attachments": [{"id": "first"}], "attachments@odata.nextLink": "http://elsewhere.test/next"},
    ],
)
async def test_attachments_that_are_left_out_or_cut_are_listed(shown: Answers) -> None:
    """A list inside an answer may end early; the mailbox's own list is read to its end."""

    def answer(asked: str) -> Answers:
        if "/attachments" in asked:
            return {"value": [{"id": "first"}, {"id": "second"}]}
        return {"internetMessageHeaders": [{"name": "A", "value": "b"}], **shown}

    async with canned(answer) as mail:
        outline = await mail.outline(BOX, "m")
    assert [one.id for one in outline.attachments] == ["first", "second"]


@pytest.mark.parametrize("odd", ["x", 5, {"a": 1}])
async def test_attachments_that_are_no_list_are_a_lost_answer(odd: object) -> None:
    """Whatever they are, they are not nothing."""
    async with canned(lambda _: {"internetMessageHeaders": [{"name": "A", "value": "b"}], "attachments": odd}) as mail:
        with pytest.raises(AnswerLost):
            await mail.outline(BOX, "m")


@pytest.mark.parametrize("odd", [[5], [{"value": "no name"}], "text", 7])
async def test_headers_that_are_none_are_a_lost_answer(odd: object) -> None:
    """A header left out could make a stranger a colleague."""
    async with canned(lambda _: {"internetMessageHeaders": odd, "attachments": []}) as mail:
        with pytest.raises(AnswerLost):
            await mail.outline(BOX, "m")
