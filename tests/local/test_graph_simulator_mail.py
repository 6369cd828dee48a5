"""The mail part of the Graph simulator: what it answers, what it refuses, and its traps."""

from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from local.graph_simulator import (
    FileAttachment,
    GraphSimulator,
    ItemAttachment,
    MailItem,
    MailTraps,
    ReferenceAttachment,
    SimulatedTenant,
)

BOX = "reports@contoso.com"
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
DELTA = f"/v1.0/users/{BOX}/mailFolders/inbox/messages/delta"
MESSAGES = f"/v1.0/users/{BOX}/messages"
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}


def make_mail(number: int, **changes: Any) -> MailItem:
    """Return mail number `number`, received so many minutes after the start."""
    item = MailItem(
        from_address="bob@contoso.com",
        subject=f"3|{number}",
        received_at=START + timedelta(minutes=number),
        internet_message_id=f"<{number}@contoso.com>",
        headers=(("X-Mailer", "Outlook"),),
        mime=b"Subject: whole\r\n\r\nmail",
    )
    return replace(item, **changes)


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


def deliver(graph: GraphSimulator, count: int) -> list[str]:
    """Deliver mails 1 to `count` and return their immutable ids."""
    return [graph.tenant.deliver(BOX, make_mail(number)) for number in range(1, count + 1)]


async def read_round(
    client: httpx.AsyncClient, url: str, **headers: str
) -> tuple[list[dict[str, object]], list[int], str]:
    """Follow a round to its end; return its rows, the sizes of its pages, and the delta link."""
    rows: list[dict[str, object]] = []
    sizes: list[int] = []
    while True:
        page = (await client.get(url, headers=headers)).raise_for_status().json()
        rows += page["value"]
        sizes.append(len(page["value"]))
        if "@odata.deltaLink" in page:
            return rows, sizes, page["@odata.deltaLink"]
        url = page["@odata.nextLink"]


def read_code(response: httpx.Response) -> tuple[int, str]:
    """Return status and Graph error code."""
    return response.status_code, response.json()["error"]["code"]


async def test_delta_pages_by_the_preferred_size_and_ends_in_a_delta_link(
    graph: GraphSimulator, client: httpx.AsyncClient
) -> None:
    """A first round shows every message once, in pages of the size asked for."""
    deliver(graph, 5)
    rows, sizes, _ = await read_round(client, f"{DELTA}?$select=subject", Prefer="odata.maxpagesize=2")
    assert [row["subject"] for row in rows] == [f"3|{number}" for number in range(1, 6)]
    assert sizes == [2, 2, 1]
    assert set(rows[0]) == {"@odata.etag", "id", "subject"}


async def test_an_empty_folder_has_a_delta_link(client: httpx.AsyncClient) -> None:
    """Nothing to show still ends in a deltaLink."""
    assert (await read_round(client, DELTA))[:2] == ([], [0])


@pytest.mark.parametrize("path", [f"{DELTA}()", DELTA.replace("mailFolders/inbox", "mailfolders('inbox')")])
async def test_delta_takes_every_form_of_its_path(graph: GraphSimulator, client: httpx.AsyncClient, path: str) -> None:
    """`/delta()` of the SDK and the keyed form of nextLinks mean the same as `/delta`."""
    deliver(graph, 1)
    assert len((await read_round(client, path))[0]) == 1


async def test_a_delta_link_shows_only_what_is_new(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """The next round begins where the last one ended."""
    deliver(graph, 2)
    _, _, link = await read_round(client, DELTA)
    graph.tenant.deliver(BOX, make_mail(9))
    rows, _, link = await read_round(client, link)
    assert [row["subject"] for row in rows] == ["3|9"]
    assert (await read_round(client, link))[0] == []


@pytest.mark.parametrize(("change_type", "expected"), [("", ["3|1"]), ("&changeType=created", [])])
async def test_an_updated_message_reappears_unless_only_created_ones_are_asked_for(
    graph: GraphSimulator, client: httpx.AsyncClient, change_type: str, expected: list[str]
) -> None:
    """Reading a mail is a change, too."""
    (first,) = deliver(graph, 1)
    _, _, link = await read_round(client, f"{DELTA}?$select=subject{change_type}")
    graph.tenant.mark_read(BOX, first)
    assert [row["subject"] for row in (await read_round(client, link))[0]] == expected


async def test_a_message_that_changes_during_a_round_is_not_lost(
    graph: GraphSimulator, client: httpx.AsyncClient
) -> None:
    """What changes behind the reader's back comes in this round or the next."""
    ids = deliver(graph, 4)
    page = (await client.get(f"{DELTA}?$top=2&$select=subject")).json()
    graph.tenant.mark_read(BOX, ids[3])
    rows, _, link = await read_round(client, page["@odata.nextLink"])
    later, _, _ = await read_round(client, link)
    seen = [row["subject"] for row in [*page["value"], *rows, *later]]
    assert sorted(map(str, seen)) == ["3|1", "3|2", "3|3", "3|4"]


async def test_removed_messages_come_as_removed_items(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """A deleted message leaves an `@removed` item without the selected properties."""
    (first,) = deliver(graph, 1)
    regular = graph.tenant.read_regular_id(BOX, first)
    _, _, link = await read_round(client, f"{DELTA}?$select=subject")
    graph.tenant.remove(BOX, first)
    ((row,), _, _) = await read_round(client, link)
    assert (row["id"], row["@removed"]) == (regular, {"reason": "deleted"})
    assert "subject" not in row


async def test_a_first_round_knows_nothing_of_what_is_gone(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """A client that never saw a message is not told that it was removed."""
    (first,) = deliver(graph, 1)
    graph.tenant.remove(BOX, first)
    assert (await read_round(client, DELTA))[0] == []


async def test_a_message_read_before_the_first_round_is_still_created(
    graph: GraphSimulator, client: httpx.AsyncClient
) -> None:
    """With changeType=created an early update does not hide the creation."""
    (first,) = deliver(graph, 1)
    graph.tenant.mark_read(BOX, first)
    assert len((await read_round(client, f"{DELTA}?changeType=created"))[0]) == 1


@pytest.mark.parametrize("empty_pages", [(1,), (2,), (1, 2)])
async def test_empty_pages_in_between_have_a_next_link(
    graph: GraphSimulator, client: httpx.AsyncClient, empty_pages: tuple[int, ...]
) -> None:
    """An empty page is not the end of a round."""
    deliver(graph, 2)
    graph.control.set_mail_traps(MailTraps(empty_pages=empty_pages))
    rows, sizes, _ = await read_round(client, f"{DELTA}?$top=1")
    assert len(rows) == 2
    assert [number for number, size in enumerate(sizes, 1) if size == 0] == list(empty_pages)


async def test_a_round_may_replay_old_changes(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """With the trap set, a delta link shows again what it had shown."""
    deliver(graph, 3)
    _, _, link = await read_round(client, DELTA)
    graph.control.set_mail_traps(MailTraps(replayed_changes=2))
    assert [row["subject"] for row in (await read_round(client, link))[0]] == ["3|2", "3|3"]


async def test_expired_links_are_gone(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Next and delta links of before the expiry answer 410 SyncStateNotFound, without a Location; new ones work."""
    deliver(graph, 2)
    next_link = (await client.get(f"{DELTA}?$top=1")).json()["@odata.nextLink"]
    _, _, delta_link = await read_round(client, DELTA)
    graph.tenant.expire_delta_links()
    for link in (next_link, delta_link):
        response = await client.get(link)
        assert read_code(response) == (410, "SyncStateNotFound")
        assert "Location" not in response.headers
    assert len((await read_round(client, DELTA))[0]) == 2


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("$select=subject,importanse", 400, "RequestBroker--ParseUri"),
        ("$select=@removed", 400, "RequestBroker--ParseUri"),
        ("$filter=subject eq 'x'", 400, "ErrorInvalidUrlQuery"),
        ("$filter=receivedDateTime le 2026-11-23T09:00:00Z", 400, "ErrorInvalidUrlQuery"),
        ("$filter=receivedDateTime ge 2026-11-23", 400, "ErrorInvalidUrlQuery"),
        ("$deltatoken=latest", 400, "ErrorInvalidUrlQuery"),
        ("$skiptoken=x&$select=subject", 400, "ErrorInvalidUrlQuery"),
        ("changeType=new", 400, "ErrorInvalidUrlQuery"),
        ("$orderby=receivedDateTime", 400, "ErrorInvalidUrlQuery"),
        ("$top=0", 400, "BadRequest"),
        ("$top=1&$top=2", 400, "BadRequest"),
        ("$search=x", 501, "NotSimulated"),
        ("$wrong=1", 400, "BadRequest"),
    ],
)
async def test_delta_refuses(client: httpx.AsyncClient, query: str, status: int, code: str) -> None:
    """Options that Graph does not take on delta are refused with their code."""
    assert read_code(await client.get(f"{DELTA}?{query}")) == (status, code)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1.0/users/nobody@contoso.com/messages", 404, "ErrorInvalidUser"),
        (f"/v1.0/users/{BOX}/messages/delta", 400, "BadRequest"),
        (f"/v1.0/users/{BOX}/mailFolders/Reports/messages", 400, "ErrorInvalidIdMalformed"),
        (f"{MESSAGES}/AAMkAGI_none=", 404, "ErrorItemNotFound"),
        (f"{MESSAGES}/AAMkAGI_none=/wrong", 404, "ErrorItemNotFound"),
        (f"/v1.0/users/{BOX}/calendar", 400, "BadRequest"),
        ("/v1.0/me/messages", 400, "BadRequest"),
        (f"/v2.0/users/{BOX}/messages", 400, "BadRequest"),
    ],
)
async def test_unknown_things_are_refused(client: httpx.AsyncClient, path: str, status: int, code: str) -> None:
    """Unknown users, folders, messages and segments each have their own error."""
    assert read_code(await client.get(path)) == (status, code)


async def test_a_mailbox_outside_the_apps_scope_is_denied(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Where RBAC does not let the app read, Graph says ErrorAccessDenied."""
    graph.tenant.add_mailbox("ceo@contoso.com", app_may_read=False)
    assert read_code(await client.get("/v1.0/users/ceo@contoso.com/messages")) == (403, "ErrorAccessDenied")


async def test_a_request_without_a_token_is_unauthorized(graph: GraphSimulator) -> None:
    """The token is checked for its presence only."""
    async with httpx.AsyncClient(base_url=graph.base_url) as anonymous:
        assert read_code(await anonymous.get(DELTA)) == (401, "InvalidAuthenticationToken")


async def test_mail_is_read_only(client: httpx.AsyncClient) -> None:
    """The app has Mail.Read and nothing else."""
    assert (await client.post(MESSAGES, json={})).status_code == 405


@pytest.mark.parametrize(("operator", "expected"), [("ge", ["3|2", "3|3"]), ("gt", ["3|3"])])
async def test_delta_filters_by_time_in_every_round(
    graph: GraphSimulator, client: httpx.AsyncClient, operator: str, expected: list[str]
) -> None:
    """The filter of the first request holds for the later rounds as well."""
    deliver(graph, 3)
    rows, _, link = await read_round(client, f"{DELTA}?$filter=receivedDateTime {operator} 2026-11-23T09:02:00Z")
    assert [row["subject"] for row in rows] == expected
    graph.tenant.deliver(BOX, make_mail(0))
    graph.tenant.deliver(BOX, make_mail(7))
    assert [row["subject"] for row in (await read_round(client, link))[0]] == ["3|7"]


async def test_a_filtered_first_round_is_capped_to_the_newest(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """A backlog beyond the cap does not come through a filtered delta; without the filter it does."""
    deliver(graph, 5)
    graph.control.set_mail_traps(MailTraps(filter_cap=2))
    rows, _, _ = await read_round(client, f"{DELTA}?$filter=receivedDateTime ge 2026-11-23T09:00:00Z")
    assert [row["subject"] for row in rows] == ["3|4", "3|5"]
    assert len((await read_round(client, DELTA))[0]) == 5


async def test_a_tenant_may_refuse_the_filter_on_delta(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Some tenants answer ErrorInvalidUrlQuery to the documented filter."""
    graph.control.set_mail_traps(MailTraps(refuse_received_filter=True))
    response = await client.get(f"{DELTA}?$filter=receivedDateTime ge 2026-11-23T09:00:00Z")
    assert read_code(response) == (400, "ErrorInvalidUrlQuery")


async def test_a_move_changes_the_regular_id_and_not_the_immutable_one(
    graph: GraphSimulator, client: httpx.AsyncClient
) -> None:
    """The old regular id is gone after a move; the immutable one still finds the message."""
    (immutable,) = deliver(graph, 1)
    regular = graph.tenant.read_regular_id(BOX, immutable)
    moved = graph.tenant.move(BOX, immutable, "archive")
    assert len({immutable, regular, moved}) == 3
    assert read_code(await client.get(f"{MESSAGES}/{quote(regular)}")) == (404, "ErrorItemNotFound")
    shown = [
        (await client.get(f"{MESSAGES}/{quote(moved)}", headers=headers)).json()["id"] for headers in ({}, IMMUTABLE)
    ]
    assert shown == [moved, immutable]
    assert (await client.get(f"{MESSAGES}/{quote(immutable)}")).json()["id"] == moved


async def test_delta_shows_a_move_as_removed_here_and_created_there(
    graph: GraphSimulator, client: httpx.AsyncClient
) -> None:
    """The two folders tell the two halves of a move, with the id the header asks for."""
    (immutable,) = deliver(graph, 1)
    archive = DELTA.replace("inbox", "archive")
    _, _, left = await read_round(client, DELTA)
    _, _, entered = await read_round(client, archive)
    graph.tenant.move(BOX, immutable, "archive")
    ((gone,), _, _) = await read_round(client, left, **IMMUTABLE)
    ((new,), _, _) = await read_round(client, entered, **IMMUTABLE)
    assert (gone["id"], new["id"]) == (immutable, immutable)
    assert ("@removed" in gone, "@removed" in new) == (True, False)


async def test_a_moved_message_may_be_missing_from_delta_with_immutable_ids(
    graph: GraphSimulator, client: httpx.AsyncClient
) -> None:
    """Seen in the field: a rule that files mail hides it from an immutable-id delta; the list still has it."""
    graph.control.set_mail_traps(MailTraps(hide_moved_from_immutable=True))
    (immutable,) = deliver(graph, 1)
    graph.tenant.move(BOX, immutable, "archive")
    archive = DELTA.replace("inbox", "archive")
    assert (await read_round(client, archive, **IMMUTABLE))[0] == []
    assert len((await read_round(client, archive))[0]) == 1
    assert len((await client.get(archive.removesuffix("/delta"), headers=IMMUTABLE)).json()["value"]) == 1


async def test_ids_of_neighbours_differ_in_the_case_of_one_letter(
    graph: GraphSimulator, client: httpx.AsyncClient
) -> None:
    """Who folds the case of ids mixes up two mails; clients must percent-encode them, too."""
    first, second = deliver(graph, 2)
    assert first != second
    assert first.lower() == second.lower()
    assert first.endswith("=")
    subjects = [(await client.get(f"{MESSAGES}/{quote(key, safe='')}")).json()["subject"] for key in (first, second)]
    assert subjects == ["3|1", "3|2"]


async def test_list_is_newest_first_in_pages(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """A list follows nextLink and keeps the options of the first request."""
    deliver(graph, 3)
    window = "$orderby=receivedDateTime desc&$filter=receivedDateTime ge 2026-11-23T09:00:00Z"
    url = f"{MESSAGES}?$select=subject&$top=2&{window}"
    first = (await client.get(url)).json()
    second = (await client.get(first["@odata.nextLink"])).json()
    assert [row["subject"] for row in first["value"] + second["value"]] == ["3|3", "3|2", "3|1"]
    assert "@odata.nextLink" not in second


async def test_a_list_page_has_ten_messages_by_default(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Without `$top` a page is short."""
    deliver(graph, 11)
    assert len((await client.get(MESSAGES)).json()["value"]) == 10


async def test_a_message_is_found_by_its_internet_message_id(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """The id's quotes are doubled and its plus sign is percent-encoded, or nothing is found."""
    graph.tenant.deliver(BOX, make_mail(1, internet_message_id="<a+b'c@evil.example>"))
    text = quote("internetMessageId eq '<a+b''c@evil.example>'", safe="")
    assert len((await client.get(f"{MESSAGES}?$filter={text}")).json()["value"]) == 1
    assert len((await client.get(f"{MESSAGES}?$filter={text.replace('%2B', '+')}")).json()["value"]) == 0


async def test_a_sorted_list_must_filter_by_the_sort_field_first(client: httpx.AsyncClient) -> None:
    """Otherwise Graph says InefficientFilter."""
    response = await client.get(f"{MESSAGES}?$filter=internetMessageId eq 'x'&$orderby=receivedDateTime desc")
    assert read_code(response) == (400, "InefficientFilter")


async def test_headers_are_shown_only_when_selected(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """`internetMessageHeaders` is no default property."""
    url = f"{MESSAGES}/{quote(deliver(graph, 1)[0])}"
    assert "internetMessageHeaders" not in (await client.get(url)).json()
    shown = (await client.get(f"{url}?$select=internetMessageHeaders")).json()
    assert shown["internetMessageHeaders"] == [{"name": "X-Mailer", "value": "Outlook"}]


async def test_a_message_is_known_by_its_keyed_form_and_its_mime(
    graph: GraphSimulator, client: httpx.AsyncClient
) -> None:
    """`messages('ID')` is `messages/ID`, a double slash is one, and `$value` is the whole mail."""
    (key,) = deliver(graph, 1)
    assert (await client.get(f"/v1.0//users/{BOX}/messages('{quote(key)}')/$value")).content == make_mail(1).mime


ATTACHMENTS = (
    ItemAttachment("Invoice", b"Subject: original\r\n\r\nbody"),
    FileAttachment("logo.png", "image/png", b"\x89PNG\xff", is_inline=True),
    ReferenceAttachment("shared.docx", "https://contoso.sharepoint.com/shared.docx"),
)


@pytest.fixture
def attachments_url(graph: GraphSimulator) -> str:
    """Return the attachments of a mail that has one of each kind."""
    return f"{MESSAGES}/{quote(graph.tenant.deliver(BOX, make_mail(1, attachments=ATTACHMENTS)))}/attachments"


async def test_attachments_differ_by_their_type(attachments_url: str, client: httpx.AsyncClient) -> None:
    """An attached mail has neither contentType nor contentBytes; a file has both."""
    item, file, reference = (await client.get(attachments_url)).json()["value"]
    kinds = [row["@odata.type"].removeprefix("#microsoft.graph.") for row in (item, file, reference)]
    assert kinds == ["itemAttachment", "fileAttachment", "referenceAttachment"]
    assert item["contentType"] is None
    assert "contentBytes" not in item
    assert (b64decode(file["contentBytes"]), file["isInline"], file["size"]) == (b"\x89PNG\xff", True, 5)


async def test_a_selection_leaves_the_bytes_out(attachments_url: str, client: httpx.AsyncClient) -> None:
    """The safe way to list attachments: names and types, no content."""
    rows = (await client.get(f"{attachments_url}?$select=id,name,contentType,size,isInline")).json()["value"]
    assert set(rows[1]) == {"@odata.type", "id", "name", "contentType", "size", "isInline"}


async def test_bare_content_bytes_cannot_be_selected(attachments_url: str, client: httpx.AsyncClient) -> None:
    """The property belongs to fileAttachment: without the cast it is unknown."""
    assert read_code(await client.get(f"{attachments_url}?$select=id,contentBytes")) == (400, "RequestBroker--ParseUri")
    cast = (await client.get(f"{attachments_url}?$select=microsoft.graph.fileAttachment/contentBytes")).json()["value"]
    assert ["contentBytes" in row for row in cast] == [False, True, False]


async def test_the_raw_value_depends_on_the_kind(attachments_url: str, client: httpx.AsyncClient) -> None:
    """`$value` is MIME for a mail, the bytes for a file, and 405 for a link."""
    keys = [row["id"] for row in (await client.get(attachments_url)).json()["value"]]
    item, file, reference = [await client.get(f"{attachments_url}/{quote(key)}/$value") for key in keys]
    assert (item.content, file.content) == (b"Subject: original\r\n\r\nbody", b"\x89PNG\xff")
    assert file.headers["Content-Type"] == "image/png"
    assert reference.status_code == 405
    assert (await client.get(f"{attachments_url}/{quote(keys[0])}")).json()["name"] == "Invoice"
    assert (await client.get(f"{attachments_url}/nothing/$value")).status_code == 404


async def test_a_mail_of_thirty_megabytes_comes_whole(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Reads have no size limit."""
    large = ItemAttachment("large", b"x" * 30_000_000)
    url = f"{MESSAGES}/{quote(graph.tenant.deliver(BOX, make_mail(1, attachments=(large,))))}/attachments"
    key = (await client.get(f"{url}?$select=id")).json()["value"][0]["id"]
    assert len((await client.get(f"{url}/{quote(key)}/$value")).content) == 30_000_000


async def test_a_folder_of_ones_own_is_known_by_its_id_only(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """A display name leads to the id through the list of folders."""
    graph.tenant.deliver(BOX, make_mail(1), "User reports")
    folders = f"/v1.0/users/{BOX}/mailFolders"
    (folder,) = (await client.get(f"{folders}?$filter=displayName eq 'User reports'")).json()["value"]
    assert folder["totalItemCount"] == 1
    assert len((await read_round(client, f"{folders}/{folder['id']}/messages/delta"))[0]) == 1
    assert (await client.get(f"{folders}/{folder['id']}")).json() == folder


async def test_links_may_lead_to_a_foreign_host(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """With the trap set, a client that follows links blindly gives its token away."""
    deliver(graph, 1)
    graph.control.set_mail_traps(MailTraps(link_base_url="https://graph.evil.example"))
    link = (await client.get(DELTA)).json()["@odata.deltaLink"]
    assert link.startswith("https://graph.evil.example/v1.0/users/")


async def test_selected_headers_are_shown_as_they_came(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """In their order, repeated ones too, alone or with other properties, under either kind of id."""
    pairs = (("Received", "second"), ("Received", "first"), ("X-MS-Exchange-Organization-AuthAs", "Internal"))
    key = graph.tenant.deliver(BOX, make_mail(1, headers=pairs))
    regular = graph.tenant.read_regular_id(BOX, key)
    shown = (await client.get(f"{MESSAGES}/{key}?$select=internetMessageHeaders", headers=IMMUTABLE)).json()
    both = (await client.get(f"{MESSAGES}/{regular}?$select=id,subject,internetMessageHeaders")).json()
    assert [(row["name"], row["value"]) for row in shown["internetMessageHeaders"]] == list(pairs)
    assert (set(shown), shown["id"]) == ({"@odata.etag", "id", "internetMessageHeaders"}, key)
    assert (both["subject"], both["id"]) == ("3|1", regular)
    assert both["internetMessageHeaders"] == shown["internetMessageHeaders"]


async def test_a_mail_without_headers_has_no_such_property(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Not an empty list, nor null."""
    key = graph.tenant.deliver(BOX, make_mail(1, headers=()))
    shown = (await client.get(f"{MESSAGES}/{key}?$select=internetMessageHeaders,subject")).json()
    assert set(shown) == {"@odata.etag", "id", "subject"}


@pytest.mark.parametrize(
    ("prefer", "kind", "content"),
    [
        ("", "html", "<b>a &lt; b</b>"),
        ('outlook.body-content-type="html"', "html", "<b>a &lt; b</b>"),
        ('outlook.body-content-type="text"', "text", "a < b"),
        ('IdType="ImmutableId", outlook.body-content-type="text"', "text", "a < b"),
    ],
)
async def test_a_body_is_text_only_for_who_prefers_it(
    graph: GraphSimulator, client: httpx.AsyncClient, prefer: str, kind: str, content: str
) -> None:
    """HTML is the default; the preference stands beside others."""
    key = graph.tenant.deliver(BOX, make_mail(1, body="a < b", body_html="<b>a &lt; b</b>"))
    shown = (await client.get(f"{MESSAGES}/{key}?$select=body", headers={"Prefer": prefer})).json()
    assert shown["body"] == {"contentType": kind, "content": content}


async def test_a_text_body_is_wrapped_for_who_wants_html(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """What is text in the mail cannot become markup."""
    key = graph.tenant.deliver(BOX, make_mail(1, body="<b>bold</b>"))
    shown = (await client.get(f"{MESSAGES}/{key}?$select=body")).json()["body"]
    assert (shown["contentType"], "&lt;b&gt;bold&lt;/b&gt;" in shown["content"]) == ("html", True)


@pytest.mark.parametrize(
    ("method", "query", "status"),
    [
        ("PATCH", "$select=body", 405),
        ("GET", "$select=internetMessageHeader", 400),
        ("GET", "$select=body/content", 400),
        ("GET", "$expand=body", 501),
        ("GET", "select=body", 400),
    ],
)
async def test_a_wrong_request_for_one_message_is_refused(
    graph: GraphSimulator, client: httpx.AsyncClient, method: str, query: str, status: int
) -> None:
    """Unknown properties and options, and every method but GET."""
    (key,) = deliver(graph, 1)
    assert (await client.request(method, f"{MESSAGES}/{key}?{query}")).status_code == status


@pytest.fixture
def message_url(attachments_url: str) -> str:
    """Return the mail that has an attachment of each kind."""
    return attachments_url.removesuffix("/attachments")


async def test_attachments_come_with_their_message(
    message_url: str, attachments_url: str, client: httpx.AsyncClient
) -> None:
    """`$expand=attachments` shows what their own list shows, bytes and all, beside the selected properties."""
    shown = (await client.get(f"{message_url}?$select=internetMessageHeaders&$expand=attachments")).json()
    assert shown["attachments"] == (await client.get(attachments_url)).json()["value"]
    assert "contentBytes" in shown["attachments"][1]
    assert set(shown) == {
        "@odata.etag", "id", "internetMessageHeaders", "attachments@odata.context", "attachments"
    }  # fmt: skip


async def test_a_selection_in_an_expansion_leaves_the_bytes_out(
    graph: GraphSimulator, message_url: str, client: httpx.AsyncClient
) -> None:
    """As for their own list; with the trap set, it is ignored."""
    url = f"{message_url}?$expand=attachments($select=id,name)"
    assert set((await client.get(url)).json()["attachments"][1]) == {"@odata.type", "id", "name"}
    graph.control.set_mail_traps(MailTraps(expand_whole=True))
    assert "contentBytes" in (await client.get(url)).json()["attachments"][1]


@pytest.mark.parametrize(
    ("expand", "status", "code"),
    [
        ("attachments($select=id,contentId)", 400, "RequestBroker--ParseUri"),
        ("attachments($select=contentBytes)", 400, "RequestBroker--ParseUri"),
        ("attachment", 400, "RequestBroker--ParseUri"),
        ("attachments($top=1)", 501, "NotSimulated"),
        ("attachments($select=id;$top=1)", 501, "NotSimulated"),
        ("attachments,extensions", 501, "NotSimulated"),
        ("singleValueExtendedProperties", 501, "NotSimulated"),
        ("attachments(", 501, "NotSimulated"),
    ],
)
async def test_an_expansion_that_is_unknown_is_refused(
    message_url: str, client: httpx.AsyncClient, expand: str, status: int, code: str
) -> None:
    """What Graph has no property for, as Graph says it; what is only not simulated, as the simulator says it."""
    assert read_code(await client.get(f"{message_url}?$expand={expand}")) == (status, code)


async def test_an_expansion_may_be_refused_altogether(
    graph: GraphSimulator, message_url: str, client: httpx.AsyncClient
) -> None:
    """With the trap set; and a list of messages has none here."""
    assert read_code(await client.get(f"{MESSAGES}?$expand=attachments")) == (501, "NotSimulated")
    graph.control.set_mail_traps(MailTraps(refuse_expand=True))
    assert (await client.get(f"{message_url}?$expand=attachments")).status_code == 400
