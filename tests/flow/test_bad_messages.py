"""Operators' messages that are wrong, repeated or half done: each ends in its own row, and nothing disappears."""

import base64
import importlib.util
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from local.functions_host import FunctionsHost, InMemoryQueueService, InMemoryStatusStore, load_host_config
from local.functions_host.clock import SystemClock
from local.graph_simulator import MailItem
from local.graph_simulator.faults import Scope, answer_status, lose_answer
from local.memory_storage import MemoryBlobs
from local.sample_tenant.oddities import OUTLOOK_MSG
from shared.domain.model import Outcome, State
from tests.support.events import levels_kept
from tests.support.reports import (
    ANNA,
    ask,
    email_request,
    only_row,
    original,
    posts,
    submissions,
    url_request,
)
from tests.support.stage import START, ProcessStoppedError, Stage, Steps, assert_feed_is_whole, settings_for, stage

ROOT = Path(__file__).resolve().parents[2]
MAX_BYTES = 48 * 1024


def text_of(**changes: object) -> str:
    """A valid request with some fields set or, where None, left out."""
    fields = {**url_request("shop"), **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def padded(size_bytes: int) -> str:
    """A valid request of exactly that many bytes, the surplus in white space."""
    text = text_of()
    return text[:-1] + " " * (size_bytes - len(text)) + "}"


def deep(levels: int) -> str:
    """A request that nests arrays."""
    return '{"schemaVersion": 1, "url": ' + "[" * levels + "]" * levels + "}"


UNREADABLE = {
    "not json": ("url=https://a.test", "not_json"),
    "cut off": (text_of()[:-1], "not_json"),
    "empty": ("", "not_json"),
    "white space": (" \r\n ", "not_json"),
    "null": ("null", "not_an_object"),
    "true": ("true", "not_an_object"),
    "a number": ("12", "not_an_object"),
    "an array": (f"[{text_of()}]", "not_an_object"),
    "a text": ('"hello"', "not_an_object"),
    "20,000 deep": (deep(20_000), "not_json"),
    "NaN": (text_of().replace("1,", "NaN,", 1), "not_json"),
    "a huge number": (text_of().replace("1,", "9" * 5_000 + ",", 1), "not_json"),
    "a comment": ("// hello\n" + text_of(), "not_json"),
    "a field twice": (text_of()[:-1] + ', "url": "https://b.test/"}', "duplicate_field"),
    "48 KiB and a byte": (padded(MAX_BYTES + 1), "too_long"),
    "base64 of an array": (base64.b64encode(b"[1]").decode(), "not_json"),
    "an unknown field": (text_of(colour="red"), "unknown_field"),
    "no url": (text_of(url=None), "missing_field"),
    "no version": (text_of(schemaVersion=None), "missing_field"),
    "a later version": (text_of(schemaVersion=2), "unsupported_version"),
    "NUL in the url": (text_of(url="https://a.test/\x00"), "invalid_field"),
    "a lone surrogate": (text_of(url="https://a.test/\ud800"), "invalid_field"),
    "a field of another kind": (text_of(recipient=ANNA), "unknown_field"),
    "spam for a url": (text_of(category="spam"), "invalid_field"),
}
RESERVED = {
    "id": ("my-own", 7),
    "dequeueCount": (1, "many"),
    "expirationTime": ("2026-12-01T00:00:00Z", "never"),
    "insertionTime": ("2026-12-01T00:00:00Z", 12),
    "nextVisibleTime": ("2026-12-01T00:00:00Z", False),
    "popReceipt": ("AgAAAAMAAAAAAAAA", None),
    "DEQUEUECOUNT": (99, [1]),
}
READABLE = {
    "plain": text_of(),
    "base64": base64.b64encode(text_of().encode()).decode(),
    "byte order mark": "\ufeff" + text_of(),
    "base64 with a byte order mark": base64.b64encode(b"\xef\xbb\xbf" + text_of().encode()).decode(),
    "48 KiB": padded(MAX_BYTES),
    "NUL in a reason": text_of(reason="seen\x00 by \x1bAnna"),
    "escapes": text_of().replace("u", "\\u0075"),
}


async def take_in(on: Stage) -> None:
    """Deliver what is on the operators' queue once."""
    await on.deliver("manual-submissions", on.app.intake_manual.run)


def rejected_blobs(on: Stage) -> dict[str, bytes]:
    """What the container `rejected-messages` holds."""
    container = on.ports.containers["rejected-messages"]
    assert isinstance(container, MemoryBlobs)
    return container.blobs


def end_of(row: Outcome) -> tuple[State, str | None]:
    """State and reason."""
    return row.state, row.state_reason


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_broken_message_is_rejected_and_kept(name: str) -> None:
    """Its row names the rule, its raw bytes lie in `rejected-messages`, and the good message behind it goes on."""
    body, reason = UNREADABLE[name]
    async with stage() as on:
        await ask(on, body, url_request("good"))
        outcomes = await on.finish(rows=2)
        (broken,) = [row for row in outcomes if row.state is State.REJECTED]
        assert broken.state_reason == reason
        assert broken.state_detail
        assert list(rejected_blobs(on).values()) == [body.encode("utf-8", "surrogatepass")]
        assert [row.state for row in outcomes if row is not broken] == [State.SETTLED]
        assert_feed_is_whole(outcomes, await on.feed())


@pytest.mark.parametrize("name", READABLE)
async def test_an_odd_but_good_message_is_submitted(name: str) -> None:
    """All spellings of one request are that request, and no control character reaches a column."""
    async with stage() as on:
        await ask(on, READABLE[name])
        (row,) = await on.finish(rows=1)
        assert (row.state, row.url) == (State.SETTLED, "https://shop.lure.test/")
        assert "\x00" not in repr(await on.rows("outcomes"))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"content": "never/uploaded.eml"}, "content_not_found"),
        ({"content": "empty.eml"}, "content_empty"),
        ({"content": "page.eml"}, "unreadable_content"),
        ({"content": "mail.msg"}, "unreadable_content"),
        ({"mailbox": ANNA, "internetMessageId": "<nobody@wrote.test>"}, "message_not_found"),
        ({"mailbox": ANNA, "messageId": "AAMkNobody"}, "message_not_found"),
        ({"mailbox": "nobody@contoso.example", "internetMessageId": "<a@b.test>"}, "mailbox_not_found"),
        ({"mailbox": "secret@contoso.example", "internetMessageId": "<a@b.test>"}, "mailbox_not_readable"),
    ],
)
async def test_a_request_for_what_cannot_be_had_is_rejected(message: dict[str, object], reason: str) -> None:
    """Absent blobs, mails and mailboxes end the request with the field's name, its raw bytes kept."""
    async with stage() as on:
        on.graph.tenant.add_mailbox(ANNA)
        on.graph.tenant.add_mailbox("secret@contoso.example", app_may_read=False)
        for name, content in (("empty.eml", b""), ("page.eml", b"<html></html>"), ("mail.msg", OUTLOOK_MSG)):
            await on.ports.containers["submission-content"].put(name, content)
        body = json.dumps(email_request(message))
        await ask(on, body)
        (row,) = await on.finish(rows=1)
        assert end_of(row) == (State.REJECTED, reason)
        assert row.state_detail is not None
        assert any(field in row.state_detail for field in ("content", "message"))
        assert (row.mailbox, row.internet_message_id) == (message.get("mailbox"), message.get("internetMessageId"))
        assert str(message.get("messageId", "")) in row.state_detail
        assert list(rejected_blobs(on).values()) == [body.encode()]


async def test_a_file_that_is_sent_under_another_name_says_so() -> None:
    """A name that turns its end round is cleaned, and the row tells it beside the operator's reason."""
    by_file = {name: value for name, value in url_request("file").items() if name != "url"}
    file = {"name": "invoice\u202efdp.exe", "content": "lure"}
    async with stage() as on:
        await on.ports.containers["submission-content"].put("lure", b"MZ")
        await on.app.intake_manual.run(json.dumps({**by_file, "kind": "file", "file": file, "reason": "seen"}))
        (row,) = await on.outcomes()
        assert row.file_name == "invoicefdp.exe"
        assert row.state_detail == "file.name: sent as invoicefdp.exe, without what hides or turns its end; seen"
        (row,) = await on.finish(rows=1)
        assert row.state is State.SETTLED


async def test_a_mailbox_that_is_not_in_the_cloud_is_told_as_that() -> None:
    """Its address is right, so the operator looks elsewhere."""
    async with stage() as on:
        on.graph.tenant.add_mailbox(ANNA)
        scope = Scope(method="GET", path="/messages")
        on.graph.control.add_fault(answer_status(404, scope, code="MailboxNotEnabledForRESTAPI"))
        await on.app.intake_manual.run(json.dumps(email_request({"mailbox": ANNA, "internetMessageId": "<a@b.test>"})))
        (row,) = await on.outcomes()
        assert end_of(row) == (State.REJECTED, "mailbox_not_found")
        assert "on-premises, inactive or unlicensed" in (row.state_detail or "")


async def test_a_message_that_breaks_a_rule_names_its_mail() -> None:
    """So that whoever reads the row knows which mail nobody looked at; what is no address is not repeated."""
    messages: list[dict[str, object]] = [
        {"mailbox": ANNA, "internetMessageId": "a@b.test"},
        {"mailbox": ANNA, "internetMessageId": "<a@b.test>", "x": 1},
        {"mailbox": "no"},
        {"mailbox": ANNA, "messageId": "AAMkOne", "x": 1},
    ]
    async with stage() as on:
        for message in messages:
            await on.app.intake_manual.run(json.dumps(email_request(message)))
        rows = await on.outcomes()
        named = {(row.mailbox, row.internet_message_id) for row in rows}
        assert named == {(ANNA, None), (ANNA, "<a@b.test>"), (None, None)}
        assert any("with its angle brackets" in (row.state_detail or "") for row in rows)
        assert any((row.state_detail or "").endswith("; messageId AAMkOne") for row in rows)


async def test_a_request_whose_evidence_is_gone_was_never_tried() -> None:
    """It is rejected when its turn comes; `Attempts` counts POSTs, and there was none."""
    async with stage() as on:
        await on.ports.containers["submission-content"].put("a.eml", original("a"))
        await on.app.intake_manual.run(json.dumps(email_request({"content": "a.eml"})))
        evidence = on.ports.containers["evidence"]
        assert isinstance(evidence, MemoryBlobs)
        evidence.blobs.clear()
        (row,) = await on.finish(rows=1)
        assert (row.state, row.state_reason, row.attempts) == (State.REJECTED, "evidence_gone", 0)
        assert posts(on) == 0


async def test_an_upload_over_the_limit_is_skipped() -> None:
    """Too large is too large, whoever sends it."""
    async with stage(MAX_SUBMISSION_BYTES="1000") as on:
        await on.ports.containers["submission-content"].put("big.eml", original("big") + b"x" * 1_000)
        await ask(on, email_request({"content": "big.eml"}))
        assert end_of((await on.finish(rows=1))[0]) == (State.SKIPPED, "too_large")


async def test_the_same_request_again_changes_nothing() -> None:
    """Not when it is spelt otherwise, not after midnight, not when it is settled: one row, one submission."""
    body = text_of(requestId="case-1")
    async with stage() as on:
        await ask(on, body)
        await take_in(on)
        first = await only_row(on)
        await ask(on, base64.b64encode(body.encode()).decode())
        await take_in(on)
        await on.finish(rows=1)
        on.clock.advance(hours=20)
        await ask(on, "  " + body)
        await take_in(on)
        row = await only_row(on)
        assert (row.key, row.received_at, row.state) == (first.key, first.received_at, State.SETTLED)
        assert len(submissions(on)) == 1
        assert_feed_is_whole([row], await on.feed())


async def test_a_request_again_after_its_entry_expired_changes_nothing() -> None:
    """Delivered late or sent twice, it is the request it was, with its one row; a new one comes too late."""
    async with stage() as on:
        await on.ports.containers["submission-content"].put("a.eml", original("a"))
        block = {"action": "block", "expiresAt": (START + timedelta(hours=1)).isoformat()}
        body = json.dumps(email_request({"content": "a.eml"}, requestId="case-1", allowOrBlock=block))
        await on.app.intake_manual.run(body)
        on.clock.advance(hours=2)
        await on.app.intake_manual.run(body)
        assert len(await on.outcomes()) == 1
        await on.app.intake_manual.run(body.replace("case-1", "case-2"))
        assert [row.state_reason for row in await on.outcomes() if row.state is State.REJECTED] == ["invalid_field"]


@pytest.mark.parametrize("second", [None, original("other")], ids=["deleted", "replaced"])
async def test_an_upload_is_read_once(second: bytes | None) -> None:
    """Whatever becomes of the upload after the row was made, the same request again changes nothing."""
    request = email_request({"content": "case.eml"}, requestId="case-1")
    async with stage() as on:
        uploads = on.ports.containers["submission-content"]
        assert isinstance(uploads, MemoryBlobs)
        uploads.blobs["case.eml"] = original("first")
        await ask(on, request)
        await take_in(on)
        uploads.blobs = {} if second is None else {"case.eml": second}
        await ask(on, request)
        assert (await on.finish(rows=1))[0].state is State.SETTLED
        assert [one.request.internet_message_id for one in submissions(on)] == ["<first@parcel-lure.test>"]
        assert not rejected_blobs(on)


async def test_a_request_taken_in_half_keeps_its_day() -> None:
    """Delivered before midnight, finished after: the row stands under the day on which it was first seen."""
    async with stage() as on:
        on.clock.advance(hours=11, minutes=59, seconds=58)
        await ask(on, text_of(requestId="case-1"))
        on.start_process(Steps(stop_at=2))
        with pytest.raises(ProcessStoppedError):
            await take_in(on)
        assert not await on.outcomes()
        on.start_process()
        on.clock.advance(minutes=11)
        await take_in(on)
        row = await only_row(on)
        assert row.key.partition == "20261123"
        assert f"{row.received_at:%Y%m%d}" == "20261123"


async def test_a_request_id_used_for_other_content_is_a_conflict() -> None:
    """The second request gets a row of its own and is kept; the first goes on; again it changes nothing."""
    async with stage() as on:
        other = text_of(requestId="case-1", url="https://other.lure.test/")
        await ask(on, text_of(requestId="case-1"), other, other)
        outcomes = await on.finish(rows=2)
        assert sorted(end_of(row) for row in outcomes) == [
            (State.REJECTED, "request_id_conflict"),
            (State.SETTLED, None),
        ]
        assert [row.url for row in outcomes if row.state is State.REJECTED] == ["https://other.lure.test/"]
        assert list(rejected_blobs(on).values()) == [other.encode()]
        assert len(submissions(on)) == 1


async def test_a_message_may_stop_anywhere_and_come_again() -> None:
    """After any call of intake the process stops; the message comes again and makes the same one row."""
    async with stage() as recorded:
        await ask(recorded, text_of(requestId="case-1"))
        steps = Steps()
        recorded.start_process(steps)
        await take_in(recorded)
    for number in range(len(steps.taken)):
        async with stage() as on:
            await ask(on, text_of(requestId="case-1"))
            on.start_process(Steps(stop_at=number, after_effect=True))
            with pytest.raises(ProcessStoppedError):
                await take_in(on)
            on.start_process()
            on.clock.advance(minutes=11)
            (row,) = await on.finish(rows=1)
            assert row.state is State.SETTLED, steps.taken[number]
            assert len(submissions(on)) == 1
            assert_feed_is_whole([row], await on.feed())


async def test_a_mailbox_that_does_not_answer_costs_a_request_nothing() -> None:
    """While Graph is down the mail is looked up later: the request waits instead of being rejected."""
    for status in (401, 429, 503):
        async with stage() as on:
            deliver_to_anna(on)
            on.graph.control.start_outage(status)
            await ask(on, email_request({"mailbox": ANNA, "internetMessageId": "<kept@parcel-lure.test>"}))
            await take_in(on)
            assert (await only_row(on)).state is State.PENDING, status
            on.graph.control.end_outage()
            (row,) = await on.finish(rows=1)
            assert row.state is State.SETTLED
            assert [one.request.by_message_url for one in submissions(on)] == [True]


async def test_a_mailbox_that_goes_silent_later_costs_a_request_nothing() -> None:
    """The lookup just before the POST may fail as well: the row waits anew, unburnt."""
    async with stage() as on:
        deliver_to_anna(on)
        on.graph.control.start_outage(503)
        await ask(on, email_request({"mailbox": ANNA, "internetMessageId": "<kept@parcel-lure.test>"}))
        await take_in(on)
        on.graph.control.end_outage()
        for status in (401, 503):
            on.graph.control.add_fault(answer_status(status, Scope(path=r"/users/.*internetMessageId", times=1)))
            on.clock.advance(minutes=6)
            await on.round()
            assert (await only_row(on)).state is State.PENDING, status
        assert posts(on) == 0
        assert (await on.finish(rows=1))[0].state is State.SETTLED


def deliver_to_anna(on: Stage) -> str:
    """Put the mail `kept` into Anna's own mailbox; returns its immutable id."""
    on.graph.tenant.add_mailbox(ANNA)
    content = original("kept")
    item = MailItem(
        from_address="desk@parcel-lure.test",
        subject="Your parcel",
        received_at=on.clock.time - timedelta(hours=8),
        internet_message_id="<kept@parcel-lure.test>",
        mime=content,
    )
    return on.graph.tenant.deliver(ANNA, item)


async def test_the_three_ways_to_name_a_mail_are_submitted() -> None:
    """By content, by id, by internet message id: each reaches Microsoft in its own form."""
    async with stage() as on:
        regular_id = on.graph.tenant.read_regular_id(ANNA, deliver_to_anna(on))
        await on.ports.containers["submission-content"].put("case.eml", original("uploaded"))
        await ask(
            on,
            email_request({"content": "case.eml"}),
            email_request({"mailbox": ANNA, "messageId": regular_id}, category="malware"),
            email_request({"mailbox": ANNA, "internetMessageId": "<kept@parcel-lure.test>"}),
        )
        outcomes = await on.finish(rows=3)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert sorted(one.request.by_message_url for one in submissions(on)) == [False, True, True]


# --- Through the host -----------------------------------------------------------------------------------------------


def load_app() -> ModuleType:
    """The deployed `function_app`, imported anew with the present environment."""
    spec = importlib.util.spec_from_file_location("function_app_under_test", ROOT / "function_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def log_levels() -> Iterator[None]:
    """Put the log levels back as they were before the app was imported, which silences all but its events."""
    with levels_kept():
        yield


@pytest.mark.usefixtures("log_levels")
async def test_every_body_reaches_our_code_through_the_host(
    storage_connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reserved names in right and wrong form and every other odd body: the function is called and ends in a row."""
    bodies = [text_of(**{key: value}) for key, values in RESERVED.items() for value in values if value is not None]
    bodies += [text_of()[:-1] + ', "popReceipt": null}', *(body for body, _ in UNREADABLE.values())]
    async with stage(connection=storage_connection) as on:
        settings = settings_for(on.graph.base_url, storage_connection)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        module = load_app()
        host = host_of(module, settings)
        for body in bodies:
            await host.invoke("intake_manual", body.encode("utf-8", "replace"))
        await module._resources.aclose()
        outcomes = await on.outcomes()
        assert len(outcomes) == len(bodies)
        assert {row.state for row in outcomes} == {State.REJECTED}
        assert sum(row.state_reason == "reserved_field" for row in outcomes) == 2 * len(RESERVED)


def host_of(module: Any, settings: dict[str, str]) -> FunctionsHost:
    """The stand-in for the Functions host around that app, with the app's own host.json."""
    config = load_host_config(ROOT / "host.json", settings)
    queues = InMemoryQueueService(SystemClock())
    return FunctionsHost(module.app, config, settings, queues, InMemoryStatusStore())


async def test_poison_of_every_kind_ends_in_a_row() -> None:
    """What failed every attempt is recorded: readable as failed, else rejected, bytes kept; again changes nothing."""
    async with stage() as on:
        for body in (text_of(requestId="case-1"), "no json", text_of(requestId="case-1")):
            await on.ports.queues["manual-submissions-poison"].send(body)
        await on.deliver("manual-submissions-poison", on.app.record_poison_manual.run)
        outcomes = await on.outcomes()
        assert sorted(end_of(row) for row in outcomes) == [
            (State.FAILED, "poison_message"),
            (State.REJECTED, "not_json"),
        ]
        assert len(rejected_blobs(on)) == 2
        assert_feed_is_whole(outcomes, await on.feed())


async def test_poison_does_not_disturb_a_row_that_went_on() -> None:
    """The message of a request that is at Microsoft changes nothing when it arrives as poison."""
    async with stage() as on:
        await ask(on, text_of(requestId="case-1"))
        on.graph.control.add_fault(lose_answer(Scope(method="POST")))
        await on.round()
        await on.app.record_poison_manual.run(text_of(requestId="case-1"))
        on.graph.control.clear_faults()
        assert (await on.finish(rows=1))[0].state is State.SETTLED
        assert len(submissions(on)) == 1
