"""How rows, items and blobs are named.

Every key is derived from its source and nothing else, so that the same report or request seen again finds its own
row. Keys hold digits, lower-case hex and dashes only: nothing that Table Storage forbids, nothing a stranger chose.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime

from .model import Category, Kind
from .urls import one_spelling

_SEPARATOR = "\x00"
_ORIGIN = re.compile(r"[^:/?#]*://[^/?#]*")


def _digest(*parts: str) -> str:
    text = _SEPARATOR.join(part.replace(_SEPARATOR, "") for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def day(at: datetime) -> str:
    """The partition of a time: its UTC day as `yyyymmdd`."""
    return at.astimezone(UTC).strftime("%Y%m%d")


def epoch_ms(at: datetime) -> int:
    """Whole milliseconds since 1970-01-01 UTC."""
    return int(at.timestamp() * 1000)


def report_id(mailbox: str, message_id: str) -> str:
    """The submission id of a mailbox report.

    `message_id` is Graph's immutable id, which survives a move to another folder. It is case-sensitive (Graph
    documentation, "Obtain immutable identifiers"); the mailbox is not.
    """
    return _digest("report", mailbox.lower(), message_id)


def request_id(chosen_id: str) -> str:
    """The submission id of a request whose sender gave it a `requestId`."""
    return _digest("request", chosen_id)


def content_id(content_digest: str) -> str:
    """The submission id of a request without a `requestId`: the same content is the same request."""
    return _digest("content", content_digest)


def conflict_id(chosen_id: str, content_digest: str) -> str:
    """The submission id of a request whose `requestId` already stands for other content."""
    return _digest("conflict", chosen_id, content_digest)


def unreadable_id(body: str) -> str:
    """The submission id of a queue message that could not be read."""
    return _digest("unreadable", body)


def microsoft_id(graph_submission_id: str) -> str:
    """The submission id of a submission that was at Microsoft already; two sources may write its id in two cases."""
    return _digest("microsoft", graph_submission_id.lower())


def hunting_request_id(item: str, category: str) -> str:
    """The `requestId` of what a hunting query found: the same item and claim are the same request."""
    return f"hunting-{_digest('hunting', item, category)}"


def email_item(network_message_id: str | None, internet_message_id: str | None, content: str, recipient: str) -> str:
    """The key of a mail as Microsoft counts it: network message id and recipient.

    Source: Graph throttling limits, "the resource is a unique network message ID / recipient pair". Where that id is
    unknown the internet message id stands in, and where that is unknown too, `content`: a hash or another reference.
    """
    if network_message_id:
        return _digest(Kind.EMAIL, "network", network_message_id.lower(), recipient.lower())
    if internet_message_id:
        return _digest(Kind.EMAIL, "internet", internet_message_id, recipient.lower())
    return _digest(Kind.EMAIL, "content", content, recipient.lower())


def url_item(url: str) -> str:
    """The key of a URL: of the request that it leads to, however it is spelt."""
    return _digest(Kind.URL, one_spelling(url))


def url_item_as_written(url: str) -> str:
    """The key that a URL had in earlier versions: scheme and host in lower case, the rest as it stands."""
    origin = _ORIGIN.match(url)
    end = origin.end() if origin else 0
    return _digest(Kind.URL, url[:end].lower() + url[end:])


def earlier_url_items(url: str) -> tuple[str, ...]:
    """Other keys that rows of earlier versions may have for this request: as it is written, and without its end."""
    spelling = one_spelling(url)
    written = (url, url.partition("#")[0], spelling.removesuffix("/") if spelling.count("/") == 3 else spelling)
    return tuple(dict.fromkeys(key for one in written if (key := url_item_as_written(one)) != url_item(url)))


def file_item(sha256: str) -> str:
    """The key of a file: its content, whatever its name."""
    return _digest(Kind.FILE, sha256)


def claim(category: Category, action: str | None) -> str:
    """What is asserted of an item. A request that also wants an allow or block entry asks for more than one without."""
    return category if action is None else f"{category}-{action}"


def claim_on_mail(category: Category, action: str | None, *seen: str | None) -> str:
    """What is asserted of a mail: of the very mail that was seen, not of whatever bears its network message id.

    Headers can be forged. A mail that came with another's network message id is not covered by that one: `seen` is what
    else the two have to agree in.
    """
    return f"{claim(category, action)}-{_digest('mail', *(one or '' for one in seen))[:16]}"


def log_key(at: datetime, submission_id: str, sequence: int) -> str:
    """The row key of a change in the feed: ascending by time, `sequence` orders changes of one millisecond."""
    return f"{epoch_ms(at):013d}-{submission_id}-{sequence:03d}"


def logged_at(log_key: str) -> datetime:
    """The time of a change, from its row key in the feed."""
    return datetime.fromtimestamp(int(log_key.partition("-")[0]) / 1000, UTC)


def evidence_name(partition: str, submission_id: str, suffix: str) -> str:
    """The blob that keeps what is submitted, grouped by day so that old days can be dropped whole."""
    return f"{partition}/{submission_id}{suffix}"
