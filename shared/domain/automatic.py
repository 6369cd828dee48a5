"""Mail that came back by itself: automatic replies to an answer, and reports that it could not be delivered.

They are no reports of anybody's. A report button of another maker may send its reports as automatic mail too, so a mail
with files counts only where it says that it is such a reply, or a report of the transport's.
"""

from __future__ import annotations

import re

from .headers import Headers

AUTOMATIC = frozenset({"auto-submitted", "in-reply-to"})
"""Headers that are read for this alone."""
_TRANSPORT = re.compile(
    r"multipart/report\b.*report-type\s*=\s*\"?(?:delivery-status|disposition-notification)", re.IGNORECASE
)


def is_automatic(headers: Headers, *, has_files: bool) -> bool:
    """Whether a mail with these headers answers a mail by itself.

    Replies: RFC 3834 section 5, and Exchange's, which are `auto-generated` with an In-Reply-To. Failures: RFC 3462,
    and an empty Return-Path (RFC 5321 section 4.5.5).
    """
    kinds = {value.partition(";")[0].strip().lower() for value in headers.values("auto-submitted")}
    if "auto-replied" in kinds or any(map(_TRANSPORT.match, headers.values("content-type"))):
        return True
    is_reply = bool(kinds - {"no"}) and any(headers.values("in-reply-to"))
    has_no_way_back = any("".join(value.split()) == "<>" for value in headers.values("return-path"))
    return not has_files and (is_reply or has_no_way_back)
