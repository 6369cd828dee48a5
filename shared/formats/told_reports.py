"""What a report tells of its original in its own text, from buttons that do not attach the mail itself.

Proofpoint's PhishAlarm quotes the headers between two lines of dashes; usecure and SiberMate write a table. All of it
is text that anybody can write: it serves to find the row again, never to submit anything. Any text has an answer.
Formats: Proofpoint PhishAlarm Analyzer's parsers in public SOAR playbooks; usecure help centre, article 5907921.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields

from ..domain.headers import MAX_HEADER_BYTES, Headers, read_headers
from ..domain.originals import facts_of
from ..domain.tenant import Tenant
from ..domain.text import address, clean, guid, ip_address

MAX_TEXT = 300_000
"""Characters of a report's text that are looked at."""

_SECTION = re.compile(
    r"^[ \t>]*+-{2,}+[ \t]*+(begin|end) (email headers|reported email)\b", re.IGNORECASE | re.MULTILINE
)
_FIELD_NAME = re.compile(r"[!-9;-~]+[ \t]*:")
_BLANK_LINE = b"\r\n\r\n"
_LINE = re.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")  # one at a time, as `str.splitlines` ends them
_MAX_LABEL = 40
_FEWEST_FACTS = 3
_NOBODY = Tenant("", frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldFacts:
    """What the text tells of the original; None where it is silent. None of it is to be believed."""

    recipient: str | None = None
    sender: str | None = None
    subject: str | None = None
    internet_message_id: str | None = None
    network_message_id: str | None = None
    sender_ip: str | None = None


def told_facts(text: str) -> ToldFacts | None:
    """What the text tells of the original, from quoted headers or from a table; None where it has neither."""
    headers = told_headers(text)
    return _facts_in_table(text[:MAX_TEXT]) if headers is None else _facts_in_headers(read_headers(headers))


def told_headers(text: str) -> bytes | None:
    """The original's headers that PhishAlarm quotes, ready for `read_headers`; None where there are none."""
    sections = list(_SECTION.finditer(text[:MAX_TEXT]))
    begin = next((one for one in sections if _names(one, "begin", "email headers")), None)
    if begin is None:
        return None
    end = next((one.start() for one in sections if one.start() > begin.start()), MAX_TEXT)
    after_heading = text.find("\n", begin.end(), end)
    block = "" if after_heading < 0 else text[after_heading + 1 : end]
    quoted = "\r\n".join(_header_lines(block)).encode("utf-8", "replace")
    return quoted[: MAX_HEADER_BYTES - len(_BLANK_LINE)] + _BLANK_LINE


def _names(section: re.Match[str], edge: str, name: str) -> bool:
    return (section[1].lower(), section[2].lower()) == (edge, name)


def _header_lines(block: str) -> Iterator[str]:
    """The lines of quoted headers, without the blank lines and with the indents that HTML adds and takes away."""
    for line in block.splitlines():
        if line.strip():
            yield line.rstrip() if line[0] in " \t" or _FIELD_NAME.match(line) else f" {line.rstrip()}"


def _facts_in_headers(headers: Headers) -> ToldFacts | None:
    if headers.is_empty:
        return None
    facts = facts_of(headers, tenant=_NOBODY, reporter="")
    recipients = (address(value) for value in headers.values("delivered-to", "to"))
    return _if_any(
        ToldFacts(
            recipient=next(filter(None, recipients), None),
            sender=facts.sender,
            subject=facts.subject,
            internet_message_id=facts.internet_message_id,
            network_message_id=facts.network_message_id,
            sender_ip=facts.sender_ip,
        ),
        at_least=1,
    )


# --- Tables ---------------------------------------------------------------------------------------------------------


def _facts_in_table(text: str) -> ToldFacts | None:
    found: dict[str, str] = {}
    for label, value in _cells(text):
        name, read = _LABELS[label]
        told = read(value) if name else None
        if told:
            found.setdefault(name, told)
    return _if_any(ToldFacts(**found), at_least=_FEWEST_FACTS)


def _cells(text: str) -> Iterator[tuple[str, str]]:
    """The known labels with their values, which stand behind a colon or a tab or on the next line."""
    waiting = None
    for line in filter(None, (found[0].strip() for found in _LINE.finditer(text))):
        label, value = _split(line)
        if label is not None:
            waiting = None if value else label
        elif waiting is not None:
            label, value, waiting = waiting, line, None
        if label is not None and value:
            yield label, value


def _split(line: str) -> tuple[str | None, str]:
    """A line's label, if it begins with a known one, and what stands behind it."""
    for separator in ("\t", ":", "|"):
        label, found, value = line.partition(separator)
        name = " ".join(label[:_MAX_LABEL].lower().replace("-", " ").split())
        if name in _LABELS and (found or len(label) <= _MAX_LABEL):
            return name, value.strip(" \t:|")
    return None, ""


def _if_any(facts: ToldFacts, *, at_least: int) -> ToldFacts | None:
    known = [one.name for one in fields(facts) if getattr(facts, one.name)]
    return facts if len(known) >= at_least else None


def _plain(value: str) -> str | None:
    return clean(value).strip() or None


_LABELS: Mapping[str, tuple[str, Callable[[str], str | None]]] = {
    "recipient": ("recipient", address),
    "sender": ("sender", address),
    "sender ip": ("sender_ip", ip_address),
    "sender ip address": ("sender_ip", ip_address),
    "subject": ("subject", _plain),
    "message id": ("internet_message_id", _plain),
    "internet message id": ("internet_message_id", _plain),
    "network message id": ("network_message_id", guid),
    "received at": ("", _plain),
}
"""What a table's labels mean; of those without a name it matters only that they are no value."""
