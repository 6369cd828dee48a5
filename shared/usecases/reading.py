"""Reading one report: fetch what it carries, decide whether it is to be submitted, keep the original.

The answer is always a candidate row, `pending` or `skipped` with its reason; only Graph's errors rise. What a mail
says is believed no further than `shared.domain` allows, and no link in it is ever followed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from shared.domain import keys
from shared.domain.model import Kind, Outcome, OutcomeKey, Priority, SkipReason, Source, State
from shared.domain.originals import OriginalFacts, Unreadable, read_original
from shared.domain.reports import (
    ReportSubject,
    choose_original,
    choose_sniffed,
    is_other_item,
    looks_like_mail,
    read_subject,
)
from shared.domain.submissions import Material
from shared.domain.tenant import Tenant
from shared.ports import BlobStore, Clock, MailSource, ReportHead
from shared.usecases.admission import Candidate

OLDEST_REPORT = timedelta(days=30)
"""Microsoft takes mail up to 30 days old (Defender documentation, "admin submissions", 2025-09)."""
DOWNLOAD_SLACK = 1.5
"""Graph gives the size of an attached mail before MIME encoding; one this much over the limit is not fetched."""


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """The settings that decide what becomes of a report."""

    tenant: Tenant
    max_submission_bytes: int


@dataclass(frozen=True, slots=True)
class ReportPlace:
    """Where a report stands and what is known of the tenant: whether reports reach Microsoft by themselves."""

    mailbox: str
    report: ReportHead
    reports_reach_microsoft: bool

    @property
    def key(self) -> OutcomeKey:
        """The row of this report."""
        return OutcomeKey(keys.day(self.report.received_at), keys.report_id(self.mailbox, self.report.message_id))


class ReportReader:
    """Turns a report into a candidate row."""

    def __init__(self, rules: ReadingRules, *, mail: MailSource, evidence: BlobStore, clock: Clock) -> None:
        self._rules = rules
        self._mail = mail
        self._evidence = evidence
        self._clock = clock

    def failed(self, place: ReportPlace, reason: str, **facts: Any) -> Candidate:
        """The row of a report that could not be read and will not be tried again."""
        outcome = _first_facts(place, read_subject(place.report.subject), self._clock)
        return Candidate(replace(outcome, state=State.FAILED, state_reason=reason, **facts))

    async def read(self, place: ReportPlace) -> Candidate:
        """The row of this report, `pending` or `skipped`, its original kept as evidence. Raises any `GraphError`."""
        subject = read_subject(place.report.subject)
        outcome = _first_facts(place, subject, self._clock)
        refusal = self._refused_unread(place)
        if refusal is not None:
            return _skipped(outcome, refusal)
        found = await self._original(place)
        if isinstance(found, SkipReason):
            return _skipped(outcome, found)
        facts = read_original(found, tenant=self._rules.tenant, reporter=outcome.reporter or "")
        if isinstance(facts, Unreadable):
            return _skipped(outcome, SkipReason.UNREADABLE_ORIGINAL, facts.detail)
        outcome = _with_facts(outcome, facts, subject, found)
        if place.reports_reach_microsoft and subject.form == "built_in":
            return _skipped(outcome, SkipReason.ALREADY_AT_MICROSOFT)
        return await self._kept(outcome, found)

    def _refused_unread(self, place: ReportPlace) -> SkipReason | None:
        if self._clock.now() - place.report.received_at > OLDEST_REPORT:
            return SkipReason.TOO_OLD
        if not self._rules.tenant.owns(place.report.sender):
            return SkipReason.UNTRUSTED_REPORTER
        return None

    async def _original(self, place: ReportPlace) -> bytes | SkipReason:
        """The bytes of the one original, or why there is none to submit."""
        attachments = await self._mail.attachments(place.mailbox, place.report.message_id)
        sizes = {attachment.id: attachment.size_bytes for attachment in attachments}
        choice = choose_original(attachments)
        sniffed: dict[str, bytes] = {}
        for attachment_id in choice.sniff_ids:
            content = await self._content(place, attachment_id, sizes[attachment_id])
            if isinstance(content, bytes) and looks_like_mail(content):
                sniffed[attachment_id] = content
        if choice.sniff_ids:
            choice = choose_sniffed(list(sniffed))
        if choice.attachment_id is None:
            return choice.reason or SkipReason.NO_ORIGINAL
        content = sniffed.get(choice.attachment_id) or await self._content(
            place, choice.attachment_id, sizes[choice.attachment_id]
        )
        return SkipReason.NOT_EMAIL if isinstance(content, bytes) and is_other_item(content) else content

    async def _content(self, place: ReportPlace, attachment_id: str, size_bytes: int) -> bytes | SkipReason:
        limit = self._rules.max_submission_bytes
        if size_bytes > limit * DOWNLOAD_SLACK:
            return SkipReason.TOO_LARGE
        content = await self._mail.attachment_content(place.mailbox, place.report.message_id, attachment_id, limit)
        return SkipReason.TOO_LARGE if content is None else content

    async def _kept(self, outcome: Outcome, original: bytes) -> Candidate:
        name = keys.evidence_name(outcome.key.partition, outcome.key.submission_id, ".eml")
        await self._evidence.put(name, original)
        return Candidate(outcome, Material(evidence=name))


def _first_facts(place: ReportPlace, subject: ReportSubject, clock: Clock) -> Outcome:
    """What is known before anything is fetched: the wrapper's own words, as far as they go."""
    report = place.report
    return Outcome(
        key=place.key,
        state=State.PENDING,
        source=Source.MAILBOX,
        received_at=report.received_at,
        collected_at=clock.now(),
        kind=Kind.EMAIL,
        category=subject.category,
        direction=subject.category.direction,
        priority=Priority.NORMAL,
        reporter=report.sender,
        sender=subject.sender,
        sender_ip=subject.sender_ip,
        subject=subject.original_subject or report.subject,
        network_message_id=subject.network_message_id,
        mailbox=place.mailbox,
        report_message_id=report.message_id,
    )


def _with_facts(outcome: Outcome, facts: OriginalFacts, subject: ReportSubject, original: bytes) -> Outcome:
    """Headers of the original count; the wrapper's subject only where they are silent."""
    network_message_id = facts.network_message_id or subject.network_message_id
    content = hashlib.sha256(original).hexdigest()
    return replace(
        outcome,
        recipient=facts.recipient,
        sender=facts.sender or subject.sender,
        sender_ip=facts.sender_ip or subject.sender_ip,
        subject=facts.subject or subject.original_subject,
        internet_message_id=facts.internet_message_id,
        network_message_id=network_message_id,
        size_bytes=len(original),
        item_key=keys.email_item(network_message_id, facts.internet_message_id, content, facts.recipient),
    )


def _skipped(outcome: Outcome, reason: SkipReason, detail: str | None = None) -> Candidate:
    return Candidate(replace(outcome, state=State.SKIPPED, state_reason=reason, state_detail=detail))
