"""Reading one report: fetch what it carries, decide whether it is to be submitted, keep the original.

The answer is always a candidate row, `pending` or `skipped` with its reason and all that is known; only Graph's errors
rise. Who reported is believed on Exchange's word alone (docs/trust.md), what a mail says is believed no further than
`shared.domain` allows, and no link in it is ever followed. The parsers are imported when the first mail is there: most
worker processes never see one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...domain import keys
from ...domain.automatic import AUTOMATIC, is_automatic
from ...domain.exchange import exchange_facts
from ...domain.headers import headers_of
from ...domain.model import Category, Kind, Outcome, OutcomeKey, Priority, SkipReason, Source, State
from ...domain.originals import Closed, Form, Opened, OriginalFacts, Unreadable, read_original
from ...domain.reports import (
    Attachment,
    ReportSubject,
    choose_original,
    choose_sniffed,
    disagreements,
    looks_like_mail,
    read_subject,
    tells_of_teams,
)
from ...domain.simulations import OwnMarks, mark_headers, simulation_of
from ...domain.submissions import OLDEST_REPORT, Material
from ...domain.tenant import Tenant
from ...domain.trust import distrust
from ...ports import BlobStore, Clock, MailOutline, MailSource, ReportHead
from ...telemetry import Event, emit
from ..sending.admission import Candidate
from .microsoft_knows import MicrosoftKnows

DOWNLOAD_SLACK = 1.5
"""Graph gives the size of an attached mail before MIME encoding; one this much over the limit is not fetched."""


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """The settings that decide what becomes of a report."""

    tenant: Tenant
    max_submission_bytes: int
    own_marks: OwnMarks
    is_local: bool = False
    """Graph is a stand-in on this machine, which need not show headers: then the From address alone decides."""
    answers_from: str | None = None
    """The mailbox that reporters are answered from; None where they are not."""


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


@dataclass(frozen=True, slots=True)
class Found:
    """The original in a report: as it was attached, and as the mail that it is."""

    attached: bytes
    opened: Opened


class ReportReader:
    """Turns a report into a candidate row."""

    def __init__(
        self,
        rules: ReadingRules,
        *,
        mail: MailSource,
        evidence: BlobStore,
        microsoft: MicrosoftKnows,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._mail = mail
        self._evidence = evidence
        self._microsoft = microsoft
        self._clock = clock
        self._also = mark_headers(rules.own_marks)

    def failed(self, place: ReportPlace, reason: str, **facts: Any) -> Candidate:
        """The row of a report that could not be read and will not be tried again."""
        outcome = _first_facts(place, read_subject(place.report.subject), self._clock)
        return Candidate(replace(outcome, state=State.FAILED, state_reason=reason, **facts))

    async def read(self, place: ReportPlace) -> Candidate | None:
        """The row of this report, `pending` or `skipped`, its original kept as evidence. Raises any `GraphError`.

        None for no report: what came back by itself for an answer gets no row.
        """
        subject = read_subject(place.report.subject)
        outcome = _first_facts(place, subject, self._clock)
        outline = await self._outline(place)
        if outline is None:
            return None
        if isinstance(outline, Closed):
            return _skipped(outcome, outline)
        found = await self._original(place, outline.attachments)
        if isinstance(found, Closed):
            return await self._without_original(place, outcome, found)
        facts = read_original(
            found.opened.mime, tenant=self._rules.tenant, reporter=outcome.reporter or "", also=self._also
        )
        if isinstance(facts, Unreadable):
            return _skipped(outcome, Closed(SkipReason.UNREADABLE_ORIGINAL, facts.detail))
        outcome = _with_facts(outcome, facts, subject, found.opened.mime)
        if subject.form == "unrecognised" and found.opened.category is not None:
            # Somebody forwarded the report of a button, whose subject told what was chosen there.
            outcome = replace(outcome, category=found.opened.category, direction=found.opened.category.direction)
        needless = await self._needless(place, subject, outcome, facts)
        if needless is not None:
            return _skipped(outcome, needless)
        return await self._kept(outcome, found, facts)

    async def _outline(self, place: ReportPlace) -> MailOutline | Closed | None:
        """What the report holds, or why it is not even opened; None where it is no report.

        Of a stranger's report nothing is asked for, but where answers come back: who tells of a failure is none of us.
        """
        tenant, sender = self._rules.tenant, place.report.sender
        if self._clock.now() - place.report.received_at > OLDEST_REPORT:
            return Closed(SkipReason.TOO_OLD)
        is_own = tenant.owns(sender)
        may_come_back = self._rules.answers_from is not None
        is_asked = is_own or (may_come_back and place.mailbox.lower() == (self._rules.answers_from or "").lower())
        outline = await self._mail.outline(place.mailbox, place.report.message_id) if is_asked else MailOutline()
        if is_own and not outline.headers and self._rules.is_local:
            return outline
        if may_come_back and is_automatic(headers_of(outline.headers, AUTOMATIC), has_files=bool(outline.attachments)):
            return None
        reason = distrust(headers_of(outline.headers), sender, tenant)
        return outline if reason is None else Closed(SkipReason.UNTRUSTED_REPORTER, reason)

    async def _needless(
        self, place: ReportPlace, subject: ReportSubject, outcome: Outcome, facts: OriginalFacts
    ) -> Closed | None:
        """Why an original that can be read need not be submitted, or None."""
        if (outcome.size_bytes or 0) > self._rules.max_submission_bytes:
            return Closed(SkipReason.TOO_LARGE)
        vendor = simulation_of(facts.headers, exchange_facts(facts.headers), self._rules.own_marks)
        if vendor is not None:
            return Closed(SkipReason.SIMULATION, vendor)
        if place.reports_reach_microsoft and subject.form == "built_in":
            return Closed(SkipReason.ALREADY_AT_MICROSOFT)
        known = await self._microsoft.submission_of(outcome)
        return None if known is None else Closed(SkipReason.ALREADY_AT_MICROSOFT, f"as {known.submission_id}")

    async def _without_original(self, place: ReportPlace, outcome: Outcome, closed: Closed) -> Candidate:
        """The row of a report that carries no mail, with what its text tells where it is one of those that do."""
        if closed.reason is not SkipReason.NO_ORIGINAL:
            return _skipped(outcome, closed)
        from ...formats.told_reports import told_facts  # noqa: PLC0415

        text = await self._mail.text(place.mailbox, place.report.message_id)
        if tells_of_teams(place.report.subject, text):
            return _skipped(outcome, Closed(SkipReason.NOT_EMAIL, "a report of a Teams message"))
        told = told_facts(text)
        if told is None:
            return _skipped(outcome, closed)
        known = {name: value for name in _TOLD if (value := getattr(told, name)) is not None}
        if (told.recipient or "").lower() in self._rules.tenant.reporting_mailboxes:
            known["recipient"] = outcome.reporter
        detail = closed.detail or "the report tells of it in text only"
        return _skipped(replace(outcome, **known), Closed(closed.reason, detail))

    async def _original(self, place: ReportPlace, attachments: Sequence[Attachment]) -> Found | Closed:
        """The one original, or why there is none to submit."""
        sizes = {attachment.id: attachment.size_bytes for attachment in attachments}
        choice = choose_original(attachments)
        sniffed: dict[str, bytes] = {}
        for attachment_id in choice.sniff_ids:
            content = await self._content(place, attachment_id, sizes[attachment_id])
            if isinstance(content, bytes) and looks_like_mail(content):
                sniffed[attachment_id] = content
        left_out = choice.left_out
        if choice.sniff_ids:
            choice = choose_sniffed(list(sniffed))
        if choice.attachment_id is None:
            detail = f"{left_out} more files without a telling type or name were not looked into" if left_out else None
            return Closed(choice.reason or SkipReason.NO_ORIGINAL, detail)
        content = sniffed.get(choice.attachment_id) or await self._content(
            place, choice.attachment_id, sizes[choice.attachment_id]
        )
        if isinstance(content, Closed):
            return content
        from ...formats.original import open_original  # noqa: PLC0415

        opened = open_original(content, self._rules.tenant)
        return opened if isinstance(opened, Closed) else Found(content, opened)

    async def _content(self, place: ReportPlace, attachment_id: str, size_bytes: int) -> bytes | Closed:
        limit = self._rules.max_submission_bytes
        if size_bytes > limit * DOWNLOAD_SLACK:
            return Closed(SkipReason.TOO_LARGE)
        content = await self._mail.attachment_content(place.mailbox, place.report.message_id, attachment_id, limit)
        return Closed(SkipReason.TOO_LARGE) if content is None else content

    async def _kept(self, outcome: Outcome, found: Found, facts: OriginalFacts) -> Candidate:
        """The candidate with its original as evidence: what is submitted, and what was attached if that is not it."""
        from ...formats.mail_fingerprint import mail_fingerprint  # noqa: PLC0415

        name = keys.evidence_name(outcome.key.partition, outcome.key.submission_id, ".eml")
        await self._evidence.put(name, found.opened.mime)
        if found.opened.form is not Form.MIME:
            attached = keys.evidence_name(outcome.key.partition, outcome.key.submission_id, ".attached")
            await self._evidence.put(attached, found.attached)
        known_by = mail_fingerprint(outcome.category or Category.PHISHING, facts, found.opened.mime)
        return Candidate(outcome, Material(evidence=name), known_by)


_TOLD = ("recipient", "sender", "sender_ip", "subject", "internet_message_id", "network_message_id")


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
    differing = disagreements(subject, facts)
    if differing:
        emit(Event.REPORT_DISAGREES, submission_id=outcome.key.submission_id, on=",".join(differing))
    return replace(
        outcome,
        state_detail=f"the report's subject tells another {' and '.join(differing)}" if differing else None,
        recipient=facts.recipient,
        sender=facts.sender or subject.sender,
        sender_ip=facts.sender_ip or subject.sender_ip,
        subject=facts.subject or subject.original_subject,
        internet_message_id=facts.internet_message_id,
        network_message_id=network_message_id,
        size_bytes=len(original),
        item_key=keys.email_item(network_message_id, facts.internet_message_id, content, facts.recipient),
    )


def _skipped(outcome: Outcome, why: Closed) -> Candidate:
    detail = why.detail or outcome.state_detail
    return Candidate(replace(outcome, state=State.SKIPPED, state_reason=why.reason, state_detail=detail))
