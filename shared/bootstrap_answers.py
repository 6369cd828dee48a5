"""What tells reporters, put together; imported only where that is switched on."""

from __future__ import annotations

from dataclasses import dataclass

from .domain.answers import AnswerRules
from .domain.tenant import Tenant
from .ports import AnswerMails, Ports
from .settings import Settings
from .stores.answers import AnswerPlaces, AnswerStore
from .stores.ledger import Ledger
from .usecases.answering.notify import Notify
from .usecases.answering.pacing import PaceAnswers
from .usecases.answering.poison import RecordPoisonNotification
from .usecases.answering.recording import Recorder
from .usecases.answering.texts import FeedbackTexts


@dataclass(frozen=True, slots=True)
class Answering:
    """The use cases that tell reporters."""

    pace: PaceAnswers
    notify: Notify
    record_poison: RecordPoisonNotification


def answer_rules(settings: Settings, tenant: Tenant) -> AnswerRules:
    """Who is told what."""
    return AnswerRules(
        tenant,
        settings.feedback_mailbox,
        tells_receipt="received" in settings.reporter_feedback,
        tells_simulations=settings.feedback_simulations == "on",
    )


def answer_places(settings: Settings, tenant: Tenant) -> AnswerPlaces:
    """What puts a row's answer in its place."""
    return AnswerPlaces(answer_rules(settings, tenant))


def answering(settings: Settings, tenant: Tenant, ports: Ports, mails: AnswerMails, ledger: Ledger) -> Answering:
    """The use cases, joined to the ports."""
    answers = AnswerStore(ports.tables["worklist"], ports.clock)
    recorder = Recorder(ledger, answers, ports.clock)
    return Answering(
        pace=PaceAnswers(
            answers=answers, recorder=recorder, mails=mails, queue=ports.queues["notifications"], clock=ports.clock
        ),
        notify=Notify(
            answer_rules(settings, tenant),
            ledger=ledger,
            answers=answers,
            recorder=recorder,
            texts=FeedbackTexts(settings.feedback_language, ports.containers["feedback-texts"], ports.clock),
            mails=mails,
            clock=ports.clock,
        ),
        record_poison=RecordPoisonNotification(answers, recorder, ports.queues["notifications-poison"], ports.clock),
    )
