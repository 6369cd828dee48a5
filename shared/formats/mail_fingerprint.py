"""By what an original's campaign is known: its facts, what Exchange says of its sender, and what it shows."""

from __future__ import annotations

from ..domain.campaigns import Fingerprint
from ..domain.exchange import exchange_facts
from ..domain.fingerprinting import fingerprint
from ..domain.model import Category
from ..domain.originals import OriginalFacts
from ..domain.text import addresses
from .mail_content import read_content

UNDECIDED = "none"
"""What stands for the sender's authentication where Exchange said nothing of it."""


def mail_fingerprint(category: Category, facts: OriginalFacts, mime: bytes) -> Fingerprint | None:
    """By what an original's campaign is known; None where there is nothing to compare by, or it is not understood.

    What a reader left out or could not decode may lead anywhere. So such a mail stands alone and is submitted: nothing
    that its sender hides from the reader can hide behind another mail's verdict.
    """
    content = read_content(mime)
    if content.gaps:
        return None
    return fingerprint(
        claim=category,
        sender=facts.sender,
        authentication=exchange_facts(facts.headers).dmarc or UNDECIDED,
        subject=facts.subject,
        text=content.text,
        links=(*content.links, *content.unseen_links),
        exactly=content.exactly,
        unseen=content.unseen,
        attachments=content.attachments,
        internet_message_id=facts.internet_message_id,
        network_message_id=facts.network_message_id,
        recipient=facts.recipient,
        reply_to=[one for value in facts.headers.values("reply-to") for one in addresses(value)],
    )
