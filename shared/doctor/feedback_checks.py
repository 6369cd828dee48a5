"""What answers to reporters need: their mailbox, the right to send from it and from no other, and texts that are right.

No mail is sent. Whether the app may send as somebody is asked with a body that is no mail: who may send is told that
the body is none, who may not is forbidden. That Exchange looks at the right first is not documented; the script
exchange-access.ps1 asks Exchange itself. Imported only where reporters are answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

from ..domain.errors import NO_CLOUD_MAILBOX, GraphError, NotAllowed, Refused
from ..formats.answer_texts import MOST_BYTES, file_of, is_shipped, replaced_texts
from ..ports import Clock, MailSource
from .findings import Result, ok, unclear, wrong
from .graph_troubles import Remedies, graph_trouble
from .ports import Graph, StorageRefusedError, Texts

NO_MAIL = b"!"
"""No base64, so that nothing can come of it."""
LATELY = timedelta(hours=1)
_GRANT = (
    "Run infra/scripts/exchange-access.ps1 with -FeedbackMailbox: it grants `Application Mail.{right}` for this one "
    "mailbox. A change may take two hours to hold."
)
_ADDRESS = "Graph knows no such mailbox: correct FEEDBACK_MAILBOX."
_CLOUD = "Move the mailbox to Exchange Online, restore it or give it a licence."
_TOO_MUCH = (
    "Remove `Mail.Send` from the identity in Entra, and every role in Exchange that infra/scripts/exchange-access.ps1 "
    "names on these mailboxes. Where it says that there is none, Exchange has looked at the body before the right."
)


async def mailbox(mail: MailSource, clock: Clock, address: str) -> Result:
    """Whether the mailbox is there, and what it sent can be looked up."""
    try:
        page = await mail.listed(address, "sentitems", clock.now() - LATELY, None)
    except GraphError as error:
        refused = _CLOUD if error.code == NO_CLOUD_MAILBOX else _ADDRESS
        return graph_trouble(error, Remedies(_GRANT.format(right="Read"), refused))
    return ok(f"{'at least ' if page.resume else ''}{len(page.reports)} sent in the last hour")


async def sending(graph: Graph, address: str) -> Result:
    """Whether the app may send from the mailbox."""
    error = await _try_to_send(graph, address)
    if error is None:
        return unclear("Graph took a body that is no mail")
    if isinstance(error, Refused) and error.status == 400:
        return ok("the right is there: only the body was refused")
    return graph_trouble(error, Remedies(_GRANT.format(right="Send"), _ADDRESS))


async def other_senders(graph: Graph, addresses: Sequence[str]) -> Result:
    """Whether the app is kept from sending as anybody else, by these mailboxes."""
    open_to_us = []
    for address in addresses:
        error = await _try_to_send(graph, address)
        if error is None or (isinstance(error, Refused) and error.status == 400):
            open_to_us.append(address)
        elif not (isinstance(error, NotAllowed) and error.status == 403):
            return unclear(f"{error.status} {error.code}, which says nothing about rights")
    if open_to_us:
        return wrong(f"the app may send as {', '.join(open_to_us)}", _TOO_MUCH)
    return ok("refused with 403, as it must be")


async def _try_to_send(graph: Graph, address: str) -> GraphError | None:
    """What Graph says to a body that is no mail; None where it took it."""
    path = f"/v1.0/users/{quote(address, safe='@')}/sendMail"
    try:
        await graph.post("ask for the right to send", path, {}, NO_MAIL, content_type="text/plain", attempt_id=address)
    except GraphError as error:
        return error
    return None


async def texts(stored: Texts, language: str) -> Result:
    """Whether the texts that replace the shipped ones can be read and break no rule."""
    file = file_of(language)
    try:
        content = await stored.get(file, MOST_BYTES)
    except StorageRefusedError as error:
        return unclear(f"{file}: {error}", "See the line `containers`.")
    if content is None:
        if is_shipped(language):
            return ok(f"no {file}: the shipped texts")
        return wrong(f"no {file}, and none is shipped: English stands in", "Upload it to `feedback-texts`.")
    _, problems = replaced_texts(language, content)
    if not problems:
        return ok(f"{file} is right")
    told = ", ".join(f"{one.text or 'the whole file'}: {one.rule}" for one in problems)
    return wrong(f"{file}: {told}", "Correct it and upload it again; until then the shipped texts stand in.")
