"""The mailbox that answers leave from: the same contract over the stand-in in memory and over the simulated Graph."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from aiohttp import web

from local.graph_simulator import GraphSimulator, Scope, SendTraps, SimulatedTenant
from local.graph_simulator.faults import (
    Fault,
    FaultKind,
    answer_empty,
    answer_html,
    answer_status,
    lose_answer,
    reset_connection,
    throttle,
)
from shared.adapters.graph.answer_mails import GraphAnswerMails
from shared.adapters.graph.identity import graph_authentication
from shared.adapters.graph.transport import GraphTransport
from shared.domain.errors import AnswerLost, GraphError, NotAllowed, NotSent, Refused, Throttled
from tests.support.memory_graph import MemoryAnswers, Misfortune
from tests.support.stage import StageClock

BOX = "answers@contoso.example"
BOB = "bob@contoso.example"
ONE = "answer-" + 20 * "1a"
OTHER = "answer-" + 20 * "2b"
LAG_S = 120
SEND = Scope(path="sendMail", times=1)
LISTS = Scope(path="mailFolders")


def make_mime(mark: str = ONE, to: str = BOB, sender: str = BOX) -> bytes:
    """Return an answer as the app writes them: the mark in its Message-ID and as a word in its text."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, to, "Your report"
    mail["Message-ID"] = f"<{mark}@contoso.example>"
    mail.set_content(f"Thanks.\n\n{mark}\n")
    mail.add_alternative(f"<html><body><p>Thanks.</p><p>{mark}</p></body></html>", subtype="html")
    return mail.as_bytes()


@dataclass
class MemoryPost:
    """The stand-in."""

    clock: StageClock
    answers: MemoryAnswers

    def befall(self, misfortune: Misfortune) -> None:
        """Let the next sending fail so."""
        self.answers.misfortunes.append(misfortune)

    def left(self) -> list[bytes]:
        """The mails that have left by now."""
        return [mime for _, mime in self.answers.sent_mails]


FAULTS: dict[Misfortune, Callable[[], Fault]] = {
    Misfortune.NOT_SENT: lambda: reset_connection(SEND),
    Misfortune.LOST_BEFORE_EFFECT: lambda: answer_status(503, SEND),
    Misfortune.LOST_AFTER_EFFECT: lambda: lose_answer(SEND),
    Misfortune.REFUSED: lambda: answer_status(400, SEND, code="ErrorInvalidRecipients"),
    Misfortune.THROTTLED: lambda: throttle("120", SEND),
}


@dataclass
class SimulatedPost:
    """The adapter before the simulated Graph."""

    clock: StageClock
    answers: GraphAnswerMails
    graph: GraphSimulator

    def befall(self, misfortune: Misfortune) -> None:
        """Let the next sending fail so."""
        self.graph.control.add_fault(FAULTS[misfortune]())

    def left(self) -> list[bytes]:
        """The mails that have left by now."""
        return [one.mime for one in self.graph.control.list_sent_mails()]


Post = MemoryPost | SimulatedPost


@asynccontextmanager
async def opened(base_url: str) -> AsyncIterator[GraphAnswerMails]:
    """The adapter before a Graph."""
    transport = GraphTransport(base_url, graph_authentication(base_url, None))
    try:
        yield GraphAnswerMails(transport, BOX)
    finally:
        await transport.aclose()


@pytest.fixture
async def graph() -> AsyncIterator[SimulatedPost]:
    """Yield the adapter before a tenant in which the app may send from one mailbox."""
    clock, tenant = StageClock(), SimulatedTenant(domains=("contoso.example",))
    tenant.add_mailbox(BOX, app_may_send=True)
    tenant.add_mailbox(BOB)
    async with AsyncExitStack() as resources:
        graph = await resources.enter_async_context(GraphSimulator(tenant, clock=clock.now))
        graph.control.set_send_traps(SendTraps(sent_items_lag_s=LAG_S))
        answers = await resources.enter_async_context(opened(graph.base_url))
        yield SimulatedPost(clock, answers, graph)


@pytest.fixture(params=["memory", "graph"])
def post(request: pytest.FixtureRequest, graph: SimulatedPost) -> Post:
    """Return a mailbox of the kind that the parameter names."""
    if request.param == "memory":
        clock = StageClock()
        return MemoryPost(clock, MemoryAnswers(clock, lag=timedelta(seconds=LAG_S)))
    return graph


async def test_a_mail_is_sent_as_it_is_and_found_by_its_mark(post: Post) -> None:
    """Byte for byte; another mark is not found, nor a mail of before the time that is asked for."""
    start, mime = post.clock.now(), make_mime()
    assert not await post.answers.sent(ONE, start)
    await post.answers.send(mime)
    post.clock.advance(seconds=LAG_S)
    assert post.left() == [mime]
    assert await post.answers.sent(ONE, start)
    assert not await post.answers.sent(OTHER, start)


@pytest.mark.parametrize(
    ("misfortune", "error", "effect"),
    [
        (Misfortune.LOST_BEFORE_EFFECT, AnswerLost, False),
        (Misfortune.LOST_AFTER_EFFECT, AnswerLost, True),
        (Misfortune.REFUSED, Refused, False),
        (Misfortune.THROTTLED, Throttled, False),
    ],
)
async def test_a_failure_is_named_by_what_to_do_next(
    post: Post, misfortune: Misfortune, error: type[GraphError], effect: bool
) -> None:
    """Whether it left all the same can be asked afterwards, and the next sending is a new one."""
    start = post.clock.now()
    post.befall(misfortune)
    with pytest.raises(error) as raised:
        await post.answers.send(make_mime())
    if isinstance(raised.value, Throttled):
        assert raised.value.retry_after_s == 120
    post.clock.advance(seconds=LAG_S)
    assert await post.answers.sent(ONE, start) == effect
    await post.answers.send(make_mime(OTHER))
    post.clock.advance(seconds=LAG_S)
    assert await post.answers.sent(OTHER, start)


# What only Graph has


async def test_a_mail_that_waits_in_drafts_was_taken(graph: SimulatedPost) -> None:
    """Exchange has it from the first moment on, however long it takes until it stands in Sent Items."""
    start = graph.clock.now()
    await graph.answers.send(make_mime())
    assert graph.left() == []
    assert await graph.answers.sent(ONE, start)


async def test_the_text_tells_where_exchange_replaced_the_message_id(graph: SimulatedPost) -> None:
    """In Drafts and in Sent Items, on whatever page."""
    graph.graph.control.set_send_traps(SendTraps(sent_items_lag_s=LAG_S, replace_message_id=True))
    start = graph.clock.now()
    await graph.answers.send(make_mime())
    assert await graph.answers.sent(ONE, start)
    for number in range(205):
        await graph.answers.send(make_mime(f"answer-{number:040x}"))
    graph.clock.advance(hours=1)
    assert len(graph.left()) == 206
    graph.graph.log.clear()
    assert await graph.answers.sent(ONE, start)
    assert len(graph.graph.log.select()) == 4
    assert not await graph.answers.sent(OTHER, start)


async def test_a_mail_that_is_moved_between_two_looks_is_met(graph: SimulatedPost) -> None:
    """At whatever moment it leaves Drafts: a look at the clock is a millisecond here, a request a few of them."""
    for milliseconds in range(25):
        graph.graph.control.reset()
        graph.graph.control.add_mailbox(BOX, app_may_send=True)
        graph.graph.control.set_send_traps(SendTraps(sent_items_lag_s=milliseconds / 1000, replace_message_id=True))
        start = graph.clock.now()
        await graph.answers.send(make_mime())
        assert await graph.answers.sent(ONE, start)


async def test_a_mail_in_sent_items_is_found_in_one_request_where_its_id_was_kept(graph: SimulatedPost) -> None:
    """However many were sent since."""
    await graph.answers.send(make_mime())
    graph.clock.advance(seconds=LAG_S)
    graph.graph.log.clear()
    assert await graph.answers.sent(ONE, graph.clock.now())
    assert len(graph.graph.log.select()) == 1


async def test_a_sending_is_one_post_in_mime_form(graph: SimulatedPost) -> None:
    """With an id that support can look for, the same for the same mail; nothing is ever repeated by itself."""
    mime = make_mime()
    for fault in (answer_status(503, SEND), throttle("0", SEND), lose_answer(SEND)):
        graph.graph.control.clear_faults()
        graph.graph.control.add_fault(fault)
        with pytest.raises(GraphError):
            await graph.answers.send(mime)
    posts = graph.graph.log.select(method="POST")
    assert len(posts) == 3
    assert len({one.headers["client-request-id"] for one in posts}) == 1
    assert {one.headers["content-type"] for one in posts} == {"text/plain"}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (answer_status(403, SEND, code="ErrorAccessDenied"), NotAllowed),
        (answer_status(403, SEND, code="ErrorSendAsDenied"), NotAllowed),
        (answer_status(401, SEND, code="InvalidAuthenticationToken"), NotAllowed),
        (answer_status(404, SEND, code="MailboxNotEnabledForRESTAPI"), NotAllowed),
        (answer_status(413, SEND, code="ErrorQuotaExceeded"), NotAllowed),
        (answer_status(413, SEND, code="ErrorMessageSizeExceeded"), Refused),
        (answer_status(400, SEND, code="ErrorMimeContentInvalidBase64String"), Refused),
        (answer_status(429, SEND, code="ApplicationThrottled", after_effect=True), Throttled),
        (answer_status(504, SEND, after_effect=True), AnswerLost),
        (answer_html(200, SEND), AnswerLost),
        (answer_empty(204, SEND), AnswerLost),
        (Fault(FaultKind.HANG, SEND), AnswerLost),
    ],
)
async def test_what_graph_answers_has_its_name(graph: SimulatedPost, fault: Fault, error: type[GraphError]) -> None:
    """A mailbox that is missing or full is an operator's matter and no mail's; only 202 says that a mail was taken."""
    graph.graph.control.add_fault(fault)
    with pytest.raises(error) as raised:
        await graph.answers.send(make_mime())
    assert type(raised.value) is error
    assert BOX not in str(raised.value)


async def test_what_cannot_be_sent_is_refused(graph: SimulatedPost) -> None:
    """By the simulator's own rules: no address, another's address in From, another's mailbox."""
    with pytest.raises(Refused):
        await graph.answers.send(make_mime(to="bob"))
    with pytest.raises(NotAllowed):
        await graph.answers.send(make_mime(sender=BOB))
    graph.graph.tenant.reset()
    with pytest.raises(NotAllowed):
        await graph.answers.send(make_mime())


async def test_a_graph_that_is_not_there_saw_nothing() -> None:
    """No connection, no effect."""
    async with opened("http://127.0.0.1:9") as answers:
        with pytest.raises(NotSent):
            await answers.send(make_mime())


@pytest.mark.parametrize(
    "fault",
    [
        answer_status(503, LISTS),
        answer_status(400, LISTS),
        answer_html(200, LISTS),
        Fault(FaultKind.WITHOUT_ROWS, LISTS),
        Fault(FaultKind.WRONG_TYPES, LISTS),
        Fault(FaultKind.ENDLESS, Scope(path="receivedDateTime|skiptoken")),
        Fault(FaultKind.NEXT_LINK, Scope(path="sentitems.*receivedDateTime"), link="https://evil.example/next"),
    ],
)
async def test_a_look_that_is_not_complete_is_an_error(graph: SimulatedPost, fault: Fault) -> None:
    """It never says that a mail was not sent because it could not be read."""
    graph.graph.control.set_send_traps(SendTraps(sent_items_lag_s=0, replace_message_id=True))
    start = graph.clock.now()
    await graph.answers.send(make_mime())
    graph.graph.control.add_fault(fault)
    with pytest.raises(GraphError):
        await graph.answers.sent(OTHER, start)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"internetMessageId": None, "body": {"content": f"Thanks. {ONE[:20]}\r\n{ONE[20:]} Bye"}}, True),
        ({"internetMessageId": f"<{ONE}@elsewhere.example>", "body": {"content": ""}}, True),
        ({"internetMessageId": None, "body": {"content": ONE[:-1]}}, False),
    ],
)
async def test_a_text_that_was_broken_anew_still_tells(row: dict[str, object], found: bool) -> None:
    """What Exchange makes of HTML as text may be wrapped anywhere."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        is_list = "sentitems" in request.path_qs and "receivedDateTime" in request.path_qs
        return web.json_response({"value": [row] if is_list else []})

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with opened(f"http://127.0.0.1:{runner.addresses[0][1]}") as answers:
            assert await answers.sent(ONE, datetime(2026, 11, 23, tzinfo=UTC)) == found
    finally:
        await runner.cleanup()
