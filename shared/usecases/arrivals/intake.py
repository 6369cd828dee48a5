"""Intake: an operator's queue message becomes an outcome row.

The same message delivered again finds its own row, because a row is named after the `requestId`, or after the content
where there is none. What breaks a rule becomes a `rejected` row that names the field and the rule, its bytes kept in
`rejected-messages`. Only storage trouble rises, so that the host delivers the message again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ...domain import keys
from ...domain.errors import NO_CLOUD_MAILBOX, GraphError, NotAllowed
from ...domain.model import Category, Kind, Outcome, OutcomeKey, SkipReason, Source, State
from ...domain.originals import Closed, OriginalFacts, Unreadable, read_original
from ...domain.replays import CannotReplay
from ...domain.requests import ContentBlob, ManualRequest, MessageById, MessageByInternetId
from ...domain.submissions import Material
from ...domain.tenant import Tenant
from ...ports import BlobStore, Clock, MailSource, MessageFacts
from ...stores.items import ItemStore, KnownRequest
from ...stores.ledger import Ledger
from ...telemetry import Event, emit
from ..mailboxes import tell_unreachable
from ..sending.admission import Admission, Candidate, Claimed

if TYPE_CHECKING:
    from ...codecs.manual_message import BadManualMessage

_NOT_IN_CLOUD = "Graph cannot read it: on-premises, inactive or unlicensed"
REVIEWABLE_FOR_DAYS = 30
"""How old a row may be that is reviewed. A review names it without its day, so each of these days is looked at."""
MOST_MESSAGE_BYTES = 64 * 1024
"""What a queue message may hold (Azure documentation, "Scalability and performance targets for Queue Storage")."""


@dataclass(frozen=True, slots=True)
class IntakeRules:
    """The settings that decide what becomes of a request."""

    tenant: Tenant
    max_submission_bytes: int


class IntakeManual:
    """The use case behind `intake_manual`."""

    def __init__(
        self,
        rules: IntakeRules,
        *,
        mail: MailSource,
        uploads: BlobStore,
        evidence: BlobStore,
        rejected: BlobStore,
        items: ItemStore,
        ledger: Ledger,
        admission: Admission,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._mail = mail
        self._uploads = uploads
        self._evidence = evidence
        self._rejected = rejected
        self._items = items
        self._ledger = ledger
        self._admission = admission
        self._clock = clock

    async def run(self, body: str) -> None:
        """Turn one queue message into its row; safe to call again with the same body."""
        opened = await self._open(body)
        if opened is not None:
            await self._accept(*opened, body)

    async def give_up(self, body: str) -> None:
        """Give a message that failed every attempt its final row, unless it got one after all."""
        opened = await self._open(body)
        if opened is None:
            return
        request, known = opened
        if await self._ledger.get(known.key) is not None:
            await self._accept(request, known, body)
            return
        await self._keep(known.key, body)
        failed = replace(self._first_facts(request, known), state=State.FAILED, state_reason="poison_message")
        await self._admission.admit([Claimed(Candidate(failed))])

    async def read_again(self, key: OutcomeKey) -> Candidate:
        """The candidate that the kept message of a row makes now; it may be rejected again.

        Raises `CannotReplay` where the message is not kept any more, or was never good.
        """
        from ...codecs.manual_message import BadManualMessage  # noqa: PLC0415

        kept = await self._rejected.get(_kept_name(key), MOST_MESSAGE_BYTES)
        if kept is None:
            raise CannotReplay("request_gone", "Its message is not kept any more: ask for the item anew.")
        try:
            request = await self._read(kept.decode("utf-8", "surrogatepass"))
        except BadManualMessage as error:
            raise CannotReplay(error.reason, f"{error.detail}: correct the message and send it again.") from None
        known = await self._items.seen(_submission_id(request))
        if known is None or known.key != key:
            raise CannotReplay("request_gone", "Its message stands for another request: ask for the item anew.")
        return await self._candidate(request, known)

    async def _open(self, body: str) -> tuple[ManualRequest, KnownRequest] | None:
        """The request and how it was first seen; None where the message got its `rejected` row instead."""
        # pydantic is imported when the first message arrives: a cold start does not have to pay for it.
        from ...codecs.manual_message import BadManualMessage  # noqa: PLC0415

        try:
            request = await self._read(body)
        except BadManualMessage as error:
            await self._reject_unreadable(body, error)
            return None
        known = await self._first_seen(_submission_id(request), request.content_digest)
        if known.content_digest != request.content_digest:
            await self._reject_conflict(request, body)
            return None
        return request, known

    async def _read(self, body: str) -> ManualRequest:
        """The request in a message; raises `BadManualMessage`. A message may come again after its entry has expired."""
        from ...codecs.manual_message import EntryOutOfTime, read_manual_message  # noqa: PLC0415

        try:
            return read_manual_message(body, now=self._clock.now())
        except EntryOutOfTime as error:
            known = await self._items.seen(_submission_id(error.request))
            if known is None or known.content_digest != error.request.content_digest:
                raise
            return error.request

    async def _accept(self, request: ManualRequest, known: KnownRequest, body: str) -> None:
        stored = await self._ledger.get(known.key)
        if stored is not None and await self._admission.is_whole(stored):
            emit(Event.REQUEST_REPEATED, submission_id=known.key.submission_id, kind=request.kind)
            return
        candidate = await self._candidate(request, known)
        if candidate.outcome.state is State.REJECTED:
            await self._keep(known.key, body)
        claimed = (await self._admission.claim([candidate]))[0]
        if claimed.holder is not None:
            await self._admission.expedite(claimed.holder, request.priority)
        await self._admission.admit([claimed])
        _tell(claimed.candidate.outcome)

    async def _candidate(self, request: ManualRequest, known: KnownRequest) -> Candidate:
        outcome = self._first_facts(request, known)
        if request.url is not None:
            item_key = await self._url_item(request.url)
            return Candidate(replace(outcome, item_key=item_key), Material(url=request.url))
        if request.file is not None:
            return await self._file(replace(outcome, file_name=request.file.name), request.file.content)
        if request.reviews is not None:
            return await self._review(outcome, request.reviews)
        if isinstance(request.message, ContentBlob):
            return await self._uploaded_mail(request, outcome, request.message)
        if request.message is None:
            return Candidate(outcome)
        return await self._mail_in_mailbox(request, outcome, request.message)

    async def _review(self, outcome: Outcome, submission_id: str) -> Candidate:
        """A review of what a user has submitted. It claims no item: an administrator may decide anew."""
        reviewed = await self._row_of(submission_id)
        if reviewed is None:
            told = f"review.submissionId: no row of the last {REVIEWABLE_FOR_DAYS} days has it"
            return _rejected(outcome, "submission_not_found", told)
        graph_id = reviewed.graph_submission_id
        if reviewed.source is not Source.MICROSOFT or graph_id is None:
            told = "review.submissionId: only what a user submitted to Microsoft, Source microsoft, can be reviewed"
            return _rejected(outcome, "not_reviewable", told)
        return Candidate(_with_facts_of(outcome, reviewed), Material(reviews=graph_id))

    async def _row_of(self, submission_id: str) -> Outcome | None:
        """A row of the last days by its id alone, the newest day first."""
        today = self._clock.now()
        for days in range(REVIEWABLE_FOR_DAYS + 1):
            stored = await self._ledger.get(OutcomeKey(keys.day(today - timedelta(days=days)), submission_id))
            if stored is not None:
                return stored.outcome
        return None

    async def _url_item(self, url: str) -> str:
        """The key of the URL's item: the one that a row of an earlier version claimed it under, where there is one.

        That row may still speak, wait for its turn or be replayed; only under one key do the two see each other.
        """
        for earlier in keys.earlier_url_items(url):
            if await self._items.is_claimed(earlier):
                return earlier
        return keys.url_item(url)

    async def _file(self, outcome: Outcome, blob: ContentBlob) -> Candidate:
        content = await self._uploaded(outcome, blob)
        if isinstance(content, Candidate):
            return content
        digest = hashlib.sha256(content).hexdigest()
        known = replace(outcome, file_sha256=digest, size_bytes=len(content), item_key=keys.file_item(digest))
        return await self._kept(known, content, "", note=None)

    async def _uploaded_mail(self, request: ManualRequest, outcome: Outcome, blob: ContentBlob) -> Candidate:
        content = await self._uploaded(outcome, blob)
        if isinstance(content, Candidate):
            return content
        # As above: only a worker that gets a mail needs the parsers.
        from ...formats.mail_fingerprint import mail_fingerprint  # noqa: PLC0415
        from ...formats.original import open_original  # noqa: PLC0415

        opened = open_original(content, self._rules.tenant)
        if isinstance(opened, Closed):
            return _rejected(outcome, "unreadable_content", f"message.content: {opened.detail or opened.reason}")
        facts = read_original(opened.mime, tenant=self._rules.tenant, reporter=request.recipient or "")
        if isinstance(facts, Unreadable):
            return _rejected(outcome, "unreadable_content", f"message.content: {facts.detail}")
        if len(opened.mime) > self._rules.max_submission_bytes:
            return _too_large(outcome, self._rules.max_submission_bytes)
        known = _with_mail_facts(outcome, facts, opened.mime)
        kept = await self._kept(known, opened.mime, ".eml", note=_note(request))
        return replace(kept, fingerprint=mail_fingerprint(request.category, facts, opened.mime))

    async def _mail_in_mailbox(
        self, request: ManualRequest, outcome: Outcome, message: MessageById | MessageByInternetId
    ) -> Candidate:
        """A mail that Microsoft shall fetch itself. What cannot be looked up now is looked up when its turn comes."""
        found: MessageFacts | None = None
        try:
            found = await self._look_up(message)
            if found is None:
                return _rejected(outcome, "message_not_found", _named("message: the mailbox has no such mail", message))
        except NotAllowed as error:
            # 401 or no token is about our identity: it will pass, and must not burn the request.
            if error.status == 403 and isinstance(message, MessageByInternetId):
                return _rejected(outcome, "mailbox_not_readable", "message.mailbox: give messageId or content instead")
            if error.status != 403:
                tell_unreachable(message.mailbox, error)
        except GraphError as error:
            if error.status == 404:
                told = _NOT_IN_CLOUD if error.code == NO_CLOUD_MAILBOX else "no such mailbox in this tenant"
                return _rejected(outcome, "mailbox_not_found", _named(f"message.mailbox: {told}", message))
            tell_unreachable(message.mailbox, error)
        known = _with_looked_up_facts(outcome, message, found)
        return Candidate(known, _material(message, found, _note(request)))

    async def _look_up(self, message: MessageById | MessageByInternetId) -> MessageFacts | None:
        if isinstance(message, MessageById):
            return await self._mail.find_by_id(message.mailbox, message.message_id)
        return await self._mail.find_by_internet_id(message.mailbox, message.internet_message_id)

    async def _uploaded(self, outcome: Outcome, blob: ContentBlob) -> bytes | Candidate:
        """The operator's content, or the row that says what is wrong with it."""
        limit = self._rules.max_submission_bytes
        content = await self._uploads.get(blob.name, limit)
        if content is None:
            return _rejected(outcome, "content_not_found", "content: no such blob in the container submission-content")
        if len(content) > limit:
            return _too_large(outcome, limit)
        if not content:
            return _rejected(outcome, "content_empty", "content: the blob is empty")
        return content

    async def _kept(self, outcome: Outcome, content: bytes, suffix: str, note: str | None) -> Candidate:
        """Keep our own copy: the operator may clean up the upload before the row's turn comes."""
        name = keys.evidence_name(outcome.key.partition, outcome.key.submission_id, suffix)
        await self._evidence.put(name, content)
        return Candidate(outcome, Material(evidence=name, note=note))

    async def _reject_conflict(self, request: ManualRequest, body: str) -> None:
        own_id = keys.conflict_id(request.request_id or "", request.content_digest)
        known = await self._first_seen(own_id, request.content_digest)
        await self._keep(known.key, body)
        outcome = self._first_facts(request, known)
        detail = _named("requestId: already used for other content", request.message)
        await self._admission.admit([Claimed(_rejected(outcome, "request_id_conflict", detail))])
        emit(Event.REQUEST_REJECTED, submission_id=own_id, kind=request.kind, reason="request_id_conflict")

    async def _reject_unreadable(self, body: str, error: BadManualMessage) -> None:
        from ...codecs.manual_message import readable_facts  # noqa: PLC0415

        known = await self._first_seen(keys.unreadable_id(body), "")
        await self._keep(known.key, body)
        told = readable_facts(body)
        outcome = Outcome(
            key=known.key,
            state=State.REJECTED,
            state_reason=error.reason,
            state_detail=_with_id(error.detail, told.message_id),
            source=Source.MANUAL,
            received_at=known.seen_at,
            collected_at=self._clock.now(),
            kind=told.kind,
            category=told.category,
            direction=None if told.category is None else told.category.direction,
            requested_by=told.requested_by,
            request_id=told.request_id,
            mailbox=told.mailbox,
            internet_message_id=told.internet_message_id,
        )
        await self._admission.admit([Claimed(Candidate(outcome))])
        emit(Event.REQUEST_REJECTED, submission_id=known.key.submission_id, reason=error.reason)

    async def _keep(self, key: OutcomeKey, body: str) -> None:
        await self._rejected.put(_kept_name(key), body.encode("utf-8", "surrogatepass"))

    async def _first_seen(self, submission_id: str, content_digest: str) -> KnownRequest:
        now = self._clock.now()
        return await self._items.first_seen(KnownRequest(OutcomeKey(keys.day(now), submission_id), content_digest, now))

    def _first_facts(self, request: ManualRequest, known: KnownRequest) -> Outcome:
        wanted, message = request.allow_or_block, request.message
        return Outcome(
            key=known.key,
            state=State.PENDING,
            state_detail=_detail(request),
            source=Source.MANUAL,
            received_at=known.seen_at,
            collected_at=self._clock.now(),
            kind=request.kind,
            category=request.category,
            direction=None if request.kind is Kind.REVIEW else Category(request.category).direction,
            priority=request.priority,
            requested_by=request.requested_by,
            recipient=request.recipient,
            url=request.url,
            mailbox=None if message is None or isinstance(message, ContentBlob) else message.mailbox,
            internet_message_id=message.internet_message_id if isinstance(message, MessageByInternetId) else None,
            request_id=request.request_id,
            disputes=request.disputes,
            allow_or_block=None if wanted is None else wanted.action,
            allow_or_block_expires_at=None if wanted is None else wanted.expires_at,
        )


def _detail(request: ManualRequest) -> str | None:
    """The operator's reason, and the name that a file is sent under where it is not the one it was given."""
    if request.file is None or not request.file.is_renamed:
        return request.reason
    told = f"file.name: sent as {request.file.name}, without what hides or turns its end"
    return f"{told}; {request.reason}" if request.reason else told


def _named(detail: str, message: MessageById | MessageByInternetId | ContentBlob | None) -> str:
    """The detail with Graph's id of the mail, which no column has; a Message-ID stands in its own."""
    return _with_id(detail, message.message_id if isinstance(message, MessageById) else None)


def _with_id(detail: str, message_id: str | None) -> str:
    return f"{detail}; messageId {message_id}" if message_id else detail


def _tell(outcome: Outcome) -> None:
    emit(
        Event.REQUEST_REJECTED if outcome.state is State.REJECTED else Event.REQUEST_ACCEPTED,
        submission_id=outcome.key.submission_id,
        kind=outcome.kind,
        reason=outcome.state_reason,
    )


def _kept_name(key: OutcomeKey) -> str:
    """The blob that keeps a message whose row was rejected or failed."""
    return keys.evidence_name(key.partition, key.submission_id, ".json")


def _submission_id(request: ManualRequest) -> str:
    if request.request_id is not None:
        return keys.request_id(request.request_id)
    return keys.content_id(request.content_digest)


def _note(request: ManualRequest) -> str | None:
    return None if request.allow_or_block is None else request.allow_or_block.note


def _rejected(outcome: Outcome, reason: str, detail: str) -> Candidate:
    return Candidate(replace(outcome, state=State.REJECTED, state_reason=reason, state_detail=detail))


def _too_large(outcome: Outcome, limit_bytes: int) -> Candidate:
    detail = f"over {limit_bytes} bytes"
    return Candidate(replace(outcome, state=State.SKIPPED, state_reason=SkipReason.TOO_LARGE, state_detail=detail))


def _with_mail_facts(outcome: Outcome, facts: OriginalFacts, content: bytes) -> Outcome:
    digest = hashlib.sha256(content).hexdigest()
    return replace(
        outcome,
        sender=facts.sender,
        sender_ip=facts.sender_ip,
        subject=facts.subject,
        internet_message_id=facts.internet_message_id,
        network_message_id=facts.network_message_id,
        size_bytes=len(content),
        item_key=keys.email_item(facts.network_message_id, facts.internet_message_id, digest, outcome.recipient or ""),
    )


def _with_facts_of(outcome: Outcome, reviewed: Outcome) -> Outcome:
    """The row of a review with what names the mail; `GraphSubmissionId` is what both rows have in common."""
    return replace(
        outcome,
        recipient=reviewed.recipient,
        sender=reviewed.sender,
        subject=reviewed.subject,
        internet_message_id=reviewed.internet_message_id,
        network_message_id=reviewed.network_message_id,
        graph_submission_id=reviewed.graph_submission_id,
    )


def _with_looked_up_facts(
    outcome: Outcome, message: MessageById | MessageByInternetId, found: MessageFacts | None
) -> Outcome:
    internet_id = message.internet_message_id if isinstance(message, MessageByInternetId) else None
    network_id = None
    if found is not None:
        internet_id = found.internet_message_id or internet_id
        network_id = found.network_message_id
    reference = f"{message.mailbox.lower()}/{message.message_id if isinstance(message, MessageById) else internet_id}"
    return replace(
        outcome,
        mailbox=message.mailbox,
        internet_message_id=internet_id,
        network_message_id=network_id,
        sender=None if found is None else found.sender,
        subject=None if found is None else found.subject,
        item_key=keys.email_item(network_id, internet_id, reference, outcome.recipient or ""),
    )


def _material(message: MessageById | MessageByInternetId, found: MessageFacts | None, note: str | None) -> Material:
    if isinstance(message, MessageById):
        return Material(mailbox=message.mailbox, message_id=message.message_id, note=note)
    message_id = None if found is None else found.message_id
    return Material(
        mailbox=message.mailbox, message_id=message_id, internet_message_id=message.internet_message_id, note=note
    )
