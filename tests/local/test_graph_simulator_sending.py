"""Sending in the Graph simulator: what it takes, what it refuses, and what becomes of a mail."""

import importlib
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from local.graph_simulator import GraphSimulator, Scope, SendTraps, SimulatedTenant, SimulatorControl
from local.graph_simulator.faults import lose_answer

BOX = "answers@contoso.com"
BOB = "bob@contoso.com"
SEND = f"/v1.0/users/{BOX}/sendMail"
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TEXT = {"Content-Type": "text/plain"}
MESSAGE = {
    "subject": "Hi",
    "body": {"contentType": "html", "content": "<p>Thanks</p>"},
    "toRecipients": [{"emailAddress": {"address": BOB}}],
}


def make_mime(*headers: str, to: str = BOB, number: int = 1) -> bytes:
    """Return a mail of two forms."""
    lines = [
        f"From: Answers <{BOX}>",
        f"To: {to}",
        "Subject: Your report",
        f"Message-ID: <answer-{number}@contoso.com>",
        *headers,
        "MIME-Version: 1.0",
        'Content-Type: multipart/alternative; boundary="b"',
        "",
        "--b",
        "Content-Type: text/plain",
        "",
        "plain only",
        "--b",
        "Content-Type: text/html; charset=utf-8",
        "",
        "<html><head><style>p {}</style></head><body><p>Thanks &amp; bye</p></body></html>",
        "--b--",
        "",
    ]
    return "\r\n".join(lines).encode()


@dataclass
class Served:
    """A simulator, a client of it, and its time."""

    graph: GraphSimulator
    http: httpx.AsyncClient
    time: list[datetime]

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.time[0] += timedelta(seconds=seconds)

    async def send(self, mime: bytes) -> httpx.Response:
        """Send a mail in MIME form."""
        return await self.http.post(SEND, content=b64encode(mime), headers=TEXT)

    async def listed(self, folder: str, mailbox: str = BOX, query: str = "") -> list[dict[str, Any]]:
        """Return the mails of a folder."""
        answer = await self.http.get(f"/v1.0/users/{mailbox}/mailFolders/{folder}/messages?$top=50{query}")
        found: list[dict[str, Any]] = answer.raise_for_status().json()["value"]
        return found


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """Serve a tenant in which the app may send from one mailbox, read that of Bob, and has nothing else."""
    tenant, time = SimulatedTenant(), [START]
    tenant.add_mailbox(BOX, app_may_send=True)
    tenant.add_mailbox(BOB)
    async with (
        GraphSimulator(tenant, clock=lambda: time[0]) as graph,
        httpx.AsyncClient(base_url=graph.base_url, headers={"Authorization": "Bearer local"}) as http,
    ):
        yield Served(graph, http, time)


def told(response: httpx.Response) -> tuple[int, str]:
    """Return status and error code."""
    return response.status_code, response.json()["error"]["code"]


async def test_a_mail_waits_in_drafts_and_then_stands_in_sent_items_and_arrives(served: Served) -> None:
    """202 has no body and says only that it was taken; a mailbox keeps one body, and a sent mail shows no headers."""
    mime = make_mime("X-Mark: 1")
    answer = await served.send(mime)
    assert (answer.status_code, answer.content) == (202, b"")
    (draft,) = await served.listed("drafts")
    assert draft["isDraft"]
    assert await served.listed("sentitems") == []
    assert served.graph.control.list_sent_mails() == ()
    served.pass_time(5)
    (sent,) = await served.listed("sentitems", query="&$select=internetMessageId,body,internetMessageHeaders,isDraft")
    assert (sent["internetMessageId"], sent["isDraft"]) == ("<answer-1@contoso.com>", False)
    assert "Thanks &amp; bye" in sent["body"]["content"]
    assert "internetMessageHeaders" not in sent
    assert await served.listed("drafts") == []
    (left,) = served.graph.control.list_sent_mails()
    assert (left.mime, left.sender, left.recipients) == (mime, BOX, (BOB,))
    (arrived,) = await served.listed("inbox", BOB, "&$select=subject,internetMessageHeaders")
    names = {one["name"] for one in arrived["internetMessageHeaders"]}
    assert names >= {"X-Mark", "X-MS-Exchange-Organization-AuthAs"}


async def test_text_is_made_from_html(served: Served) -> None:
    """Of the two forms a mailbox keeps the HTML; what a client reads as text comes from it."""
    await served.send(make_mime())
    url = f"/v1.0/users/{BOX}/messages?$select=body"
    answer = await served.http.get(url, headers={"Prefer": 'outlook.body-content-type="text"'})
    body = answer.json()["value"][0]["body"]
    assert (body["contentType"], body["content"].split()) == ("text", ["Thanks", "&", "bye"])


async def test_sent_mail_is_found_by_its_time_and_its_message_id(served: Served) -> None:
    """By `sentDateTime` and `internetMessageId`; headers and body are no fields to filter by."""
    await served.send(make_mime())
    served.pass_time(60)
    for text, count in (
        ("internetMessageId eq '<answer-1@contoso.com>'", 1),
        ("sentDateTime ge 2026-11-23T09:00:00Z", 1),
        ("sentDateTime gt 2026-11-23T09:00:00Z", 0),
    ):
        assert len(await served.listed("sentitems", query=f"&$filter={text}")) == count
    for text in ("internetMessageHeaders eq 'x'", "body/content eq 'x'", "contains(body/content,'x')"):
        answer = await served.http.get(f"/v1.0/users/{BOX}/messages?$filter={text}")
        assert told(answer) == (400, "ErrorInvalidUrlQuery")


async def test_a_server_may_replace_the_message_id(served: Served) -> None:
    """As the protocol allows: then only the body tells which mail it is."""
    served.graph.control.set_send_traps(SendTraps(replace_message_id=True, sent_items_lag_s=0))
    await served.send(make_mime())
    (sent,) = await served.listed("sentitems")
    assert sent["internetMessageId"] != "<answer-1@contoso.com>"
    assert served.graph.control.list_sent_mails()[0].message_id == sent["internetMessageId"]


@pytest.mark.parametrize(
    ("path", "body", "content_type", "expected"),
    [
        (SEND, b"!", "text/plain", (400, "ErrorMimeContentInvalidBase64String")),
        (SEND, b"", "text/plain", (400, "ErrorMimeContentInvalidBase64String")),
        (SEND, b"QUJD\r\nREVG", "text/plain", (400, "ErrorMimeContentInvalidBase64String")),
        (SEND, b64encode(b"From: answers@contoso.com\r\n\r\nx"), "text/plain", (400, "ErrorInvalidRecipients")),
        (SEND, b64encode(make_mime(to="Bob")), "text/plain", (400, "ErrorInvalidRecipients")),
        (SEND, b64encode(make_mime(to="bob@localhost")), "text/plain", (400, "ErrorInvalidRecipients")),
        (SEND, b64encode(make_mime().replace(BOX.encode(), BOB.encode())), "text/plain", (403, "ErrorSendAsDenied")),
        (SEND, b64encode(make_mime()), "text/html", (415, "UnsupportedMediaType")),
        (SEND, b"A" * (4 * 1024 * 1024 + 4), "text/plain", (413, "ErrorMessageSizeExceeded")),
        (SEND.replace(BOX, BOB), b64encode(make_mime()), "text/plain", (403, "ErrorAccessDenied")),
        (SEND.replace(BOX, BOB), b"!", "text/plain", (403, "ErrorAccessDenied")),
        (SEND.replace(BOX, "no@contoso.com"), b64encode(make_mime()), "text/plain", (404, "ErrorInvalidUser")),
        (f"{SEND}?$select=id", b64encode(make_mime()), "text/plain", (501, "NotSimulated")),
        (SEND, b"{", "application/json", (400, "BadRequest")),
        (SEND, b"{}", "application/json", (400, "RequestBodyRead")),
        (SEND, json.dumps({"message": MESSAGE, "x": 1}).encode(), "application/json", (400, "RequestBodyRead")),
        (
            SEND,
            json.dumps({"message": MESSAGE, "saveToSentItems": "no"}).encode(),
            "application/json",
            (400, "RequestBodyRead"),
        ),
    ],
)
async def test_what_is_refused_leaves_nothing(
    served: Served, path: str, body: bytes, content_type: str, expected: tuple[int, str]
) -> None:
    """Each refusal has its status and code, and no mail stands anywhere."""
    assert told(await served.http.post(path, content=body, headers={"Content-Type": content_type})) == expected
    served.pass_time(60)
    assert await served.listed("drafts") == await served.listed("sentitems") == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"toRecipients": []}, "ErrorInvalidRecipients"),
        ({"toRecipients": [{"emailAddress": {"address": "bob"}}]}, "ErrorInvalidRecipients"),
        ({"toRecipients": [{"address": BOB}]}, "ErrorInvalidRecipients"),
        ({"toRecipients": BOB}, "RequestBodyRead"),
        ({"body": {"contentType": "rtf", "content": ""}}, "RequestBodyRead"),
        ({"internetMessageHeaders": [{"name": "Auto-Submitted", "value": "x"}]}, "InvalidInternetMessageHeader"),
        ({"internetMessageHeaders": [{"name": "X-Mark"}]}, "RequestBodyRead"),
        ({"wrong": 1}, "RequestBodyRead"),
        ({"from": {"emailAddress": {"address": BOB}}}, "ErrorSendAsDenied"),
    ],
)
async def test_a_json_mail_is_refused(served: Served, change: dict[str, object], code: str) -> None:
    """Only headers that begin with X- may be given in this form, so it cannot say that it is automatic."""
    answer = await served.http.post(SEND, json={"message": MESSAGE | change})
    assert told(answer)[1] == code


async def test_a_json_mail_is_sent_and_kept_unless_it_says_otherwise(served: Served) -> None:
    """With its headers and its body; the address in From may be the mailbox's own."""
    whole = MESSAGE | {
        "from": {"emailAddress": {"address": BOX.upper()}},
        "internetMessageHeaders": [{"name": "X-Mark", "value": "1"}],
    }
    for body in ({"message": whole}, {"Message": MESSAGE, "SaveToSentItems": False}):
        assert (await served.http.post(SEND, json=body)).status_code == 202
    served.pass_time(5)
    first, _ = served.graph.control.list_sent_mails()
    assert b"X-Mark: 1" in first.mime
    assert len(await served.listed("sentitems")) == 1
    assert len(await served.listed("inbox", BOB)) == 2


async def test_more_than_thirty_a_minute_are_carried_over(served: Served) -> None:
    """As Exchange Online's limits say; or refused, with the seconds to wait."""
    for number in range(31):
        assert (await served.send(make_mime(number=number))).status_code == 202
    served.pass_time(5)
    assert (len(await served.listed("sentitems")), len(await served.listed("drafts"))) == (30, 1)
    served.graph.control.set_send_traps(SendTraps(refuse_excess=True))
    refused = await served.send(make_mime())
    assert told(refused) == (429, "ApplicationThrottled")
    assert refused.headers["Retry-After"] == "55"
    assert served.graph.log.select()[-1].throttle == "mailbox_1_min"
    served.pass_time(60)
    assert (len(await served.listed("sentitems")), len(await served.listed("drafts"))) == (31, 0)
    assert (await served.send(make_mime())).status_code == 202


async def test_what_cannot_be_delivered_comes_back(served: Served) -> None:
    """An unknown recipient, and more recipients than a day has, are told by mail: the call had its 202."""
    served.graph.control.set_send_traps(
        SendTraps(bounced=("gone@contoso.com",), recipients_per_day=2, sent_items_lag_s=0)
    )
    for number, to in enumerate((BOB, "gone@contoso.com", BOB)):
        assert (await served.send(make_mime(to=to, number=number))).status_code == 202
    told_of = [one["bodyPreview"] for one in await served.listed("inbox")]
    assert sorted("5.1.90" in one for one in told_of) == [False, True]
    assert len(await served.listed("inbox", BOB)) == 1
    served.pass_time(24 * 3600)
    await served.send(make_mime(number=9))
    assert len(await served.listed("inbox", BOB)) == 2


async def test_automatic_replies_come_unless_the_mail_asks_for_none(served: Served) -> None:
    """Out of office and non-delivery reports heed X-Auto-Response-Suppress."""
    served.graph.control.set_send_traps(
        SendTraps(auto_replying=(BOB,), bounced=("gone@contoso.com",), sent_items_lag_s=0)
    )
    for to in (BOB, "gone@contoso.com"):
        await served.send(make_mime("X-Auto-Response-Suppress: All", to=to))
    assert await served.listed("inbox") == []
    for to in (BOB, "gone@contoso.com"):
        await served.send(make_mime("X-Auto-Response-Suppress: DR, RN", to=to))
    subjects = [one["subject"] for one in await served.listed("inbox")]
    assert sorted(subjects) == ["Automatic reply: Your report", "Undeliverable: Your report"]


async def test_a_lost_answer_leaves_the_mail(served: Served) -> None:
    """Its record names what it did, whether or not the client learnt of it."""
    served.graph.control.add_fault(lose_answer(Scope(path="sendMail", times=1)))
    with pytest.raises(httpx.TransportError):
        await served.send(make_mime())
    assert served.graph.log.select()[-1].effect
    assert len(await served.listed("drafts")) == 1


async def test_sent_mails_are_listed_over_the_control_connection(served: Served) -> None:
    """With any bytes; a reset forgets them, and the traps."""
    await served.send(make_mime("X-Odd: \u00ff"))
    served.pass_time(5)
    async with SimulatorControl(served.graph.base_url) as control:
        assert await control.list_sent_mails() == served.graph.control.list_sent_mails() != ()
        await control.set_send_traps(SendTraps(refuse_excess=True))
        await control.reset()
        assert await control.list_sent_mails() == ()
        await control.add_mailbox(BOX, app_may_send=True)
    for _ in range(31):
        assert (await served.send(make_mime())).status_code == 202


@pytest.mark.filterwarnings("ignore::DeprecationWarning:kiota_abstractions")  # the client warns of itself
@pytest.mark.filterwarnings("ignore::DeprecationWarning:msgraph_beta")
async def test_what_the_official_client_writes_is_taken(served: Served) -> None:
    """Its body of sendMail, and the path that it sends it to."""
    generated = "msgraph_beta.generated"
    send = f"{generated}.users.item.send_mail"
    body = importlib.import_module(f"{send}.send_mail_post_request_body").SendMailPostRequestBody()
    models = {
        name: getattr(importlib.import_module(f"{generated}.models.{module}"), name)
        for name, module in (
            ("Message", "message"),
            ("ItemBody", "item_body"),
            ("BodyType", "body_type"),
            ("Recipient", "recipient"),
            ("EmailAddress", "email_address"),
        )
    }
    content = models["ItemBody"](content_type=models["BodyType"].Html, content="<p>Thanks</p>")
    recipient = models["Recipient"](email_address=models["EmailAddress"](address=BOB))
    body.message = models["Message"](subject="Hi", body=content, to_recipients=[recipient])
    body.save_to_sent_items = False
    writing = importlib.import_module("kiota_serialization_json.json_serialization_writer_factory")
    writer = writing.JsonSerializationWriterFactory().get_serialization_writer("application/json")
    writer.write_object_value(None, body)
    builder = importlib.import_module(f"{send}.send_mail_request_builder").SendMailRequestBuilder("no adapter", {})
    path = builder.url_template.replace("{+baseurl}", "/v1.0").replace("{user%2Did}", BOX)
    answer = await served.http.post(
        path, content=writer.get_serialized_content(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 202, answer.text
    served.pass_time(5)
    assert b"<p>Thanks</p>" in served.graph.control.list_sent_mails()[0].mime
