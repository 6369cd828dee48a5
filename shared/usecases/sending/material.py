"""Turning a row into the submission order that Microsoft will get: evidence, a mail's address, or a URL."""

from __future__ import annotations

from urllib.parse import quote

from ...domain.errors import DefenderSubmissionsError, GraphError, NotAllowed, Refused
from ...domain.model import Category, Kind, Outcome
from ...domain.submissions import AllowOrBlock, Material, ReviewOrder, SubmissionOrder
from ...ports import BlobStore, MailSource, MessageFacts

MESSAGE_URL = "https://graph.microsoft.com/beta/users/{mailbox}/messages/{message_id}"
"""How Microsoft wants a mail in a mailbox named (Graph documentation, "Create emailThreat"). It is a name: nothing is
ever requested from it here."""


class MaterialGone(DefenderSubmissionsError):
    """What was to be submitted cannot be had any more: reject the row with `reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MaterialSource:
    """Fetches what a row's submission needs."""

    def __init__(self, *, evidence: BlobStore, mail: MailSource, max_submission_bytes: int) -> None:
        self._evidence = evidence
        self._mail = mail
        self._max_submission_bytes = max_submission_bytes

    async def order(self, outcome: Outcome, material: Material) -> SubmissionOrder | ReviewOrder:
        """The order for this row. Raises `MaterialGone`, or a `GraphError` when a mailbox did not answer."""
        attempt_id = f"{outcome.key.submission_id}-{outcome.attempts}"
        category = outcome.category or Category.PHISHING
        if material.reviews is not None:
            return ReviewOrder(submission_id=material.reviews, category=category, attempt_id=attempt_id)
        content = None if material.evidence is None else await self._content(material.evidence)
        message_url = None if material.mailbox is None else await self._message_url(material)
        if content is None and message_url is None and material.url is None:
            raise MaterialGone("evidence_gone")  # its admission was cut off, and what it was made from is gone since
        return SubmissionOrder(
            kind=outcome.kind or Kind.EMAIL,
            category=category,
            attempt_id=attempt_id,
            recipient=outcome.recipient,
            content=content,
            message_url=message_url,
            url=material.url,
            file_name=outcome.file_name,
            allow_or_block=_allow_or_block(outcome, material),
        )

    async def names(self, material: Material) -> MessageFacts | None:
        """What a mail in a mailbox is known by, if the app may and can read it now.

        Raises a `GraphError` where nothing can be submitted without an answer: the mail has to be found first.
        """
        mailbox = material.mailbox or ""
        try:
            if material.message_id is not None:
                return await self._mail.find_by_id(mailbox, material.message_id)
            return await self._mail.find_by_internet_id(mailbox, material.internet_message_id or "")
        except GraphError as error:
            if material.message_id is None and error.status not in (403, 404):
                raise
            return None

    async def _content(self, name: str) -> bytes:
        content = await self._evidence.get(name, self._max_submission_bytes)
        if content is None:
            raise MaterialGone("evidence_gone")
        return content

    async def _message_url(self, material: Material) -> str:
        mailbox, message_id = material.mailbox or "", material.message_id
        if message_id is None:
            message_id = await self._find(mailbox, material.internet_message_id or "")
        return MESSAGE_URL.format(mailbox=quote(mailbox, safe="@"), message_id=quote(message_id, safe=""))

    async def _find(self, mailbox: str, internet_message_id: str) -> str:
        try:
            found = await self._mail.find_by_internet_id(mailbox, internet_message_id)
        except NotAllowed as error:
            if error.status != 403:
                raise
            raise MaterialGone("mailbox_not_readable") from None
        except Refused:
            raise MaterialGone("mailbox_not_found") from None
        if found is None:
            raise MaterialGone("message_not_found")
        return found.message_id


def _allow_or_block(outcome: Outcome, material: Material) -> AllowOrBlock | None:
    if outcome.allow_or_block is None or outcome.allow_or_block_expires_at is None:
        return None
    return AllowOrBlock(outcome.allow_or_block, outcome.allow_or_block_expires_at, material.note)
