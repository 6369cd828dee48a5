"""The register of everything the product tells about itself: names, units, meaning.

An event is one log line `event=<name> field=<value> ...` on the logger `shared.telemetry`, so that it can be queried
where the function host's logs go. Fields are ids, counts, seconds, codes and short hashes; never a subject, an
address, a token or message content. Nothing else in the product writes to a log.
"""

from __future__ import annotations

import enum
import hashlib
import logging

from shared.domain.text import clean

LONGEST_VALUE = 200
_logger = logging.getLogger(__name__)


class Event(enum.Enum):
    """Name, log level, and what it means when it is seen."""

    REPORTS_COLLECTED = "reports_collected", logging.INFO, "`count` new rows from one reporting mailbox folder"
    REPORT_DEFERRED = "report_deferred", logging.WARNING, "a report's content could not be read; tried again next run"
    REPORT_DISAGREES = "report_disagrees", logging.INFO, "a report's subject tells otherwise than its original `on`"
    MAILBOX_UNREACHABLE = "mailbox_unreachable", logging.WARNING, "a folder gave no answer; the others were read"
    DELTA_LINK_EXPIRED = "delta_link_expired", logging.INFO, "a folder is read from the start; known rows stay"
    POLICY_UNREADABLE = "policy_unreadable", logging.WARNING, "REPORT_DESTINATION=auto fell back to `mailbox`"
    SOURCE_READ = "source_read", logging.INFO, "`count` new rows or requests from one source beside the mailbox"
    SOURCE_UNREADABLE = "source_unreadable", logging.WARNING, "a source gave no whole answer; the others were read"
    SOURCE_ROWS_UNUSABLE = "source_rows_unusable", logging.WARNING, "`count` of a source's rows lack what is needed"
    HUNTING_LIMITED = "hunting_limited", logging.WARNING, "the query found too much at once; `left` rows come later"
    REQUEST_ACCEPTED = "request_accepted", logging.INFO, "an operator's message became a row"
    REQUEST_REJECTED = "request_rejected", logging.INFO, "an operator's message broke a rule; `reason` says which"
    REQUEST_REPEATED = "request_repeated", logging.INFO, "an operator's message seen before; nothing changed"
    SLOTS_GIVEN = "slots_given", logging.INFO, "`count` rows were dispatched; `left_today` submissions remain"
    SLOT_MISSED = "slot_missed", logging.INFO, "a row reached its slot too late, or the slot was taken back"
    SUBMITTED = "submitted", logging.INFO, "Microsoft has it; `seconds` since the report was received"
    SUBMISSION_REFUSED = "submission_refused", logging.WARNING, "Microsoft refused it for good; `status`, `code`"
    ANSWER_LOST = "answer_lost", logging.WARNING, "a POST's answer never came; the row is uncertain"
    THROTTLED = "throttled", logging.WARNING, "429: nothing is sent for `seconds`"
    NOT_ALLOWED = "not_allowed", logging.WARNING, "401/403: submissions pause for `seconds`; check role and licence"
    ATTEMPT_DELAYED = "attempt_delayed", logging.INFO, "nothing was sent; tried again in `seconds`"
    GAVE_UP = "gave_up", logging.WARNING, "a row failed after its retries; it can be replayed"
    RECONCILED = "reconciled", logging.INFO, "an uncertain row was `found` at Microsoft, or not"
    SETTLED = "settled", logging.INFO, "a final verdict; `seconds` since the report was received"
    UNKNOWN_RESULT = "unknown_result", logging.WARNING, "Microsoft used a word that the verdict table does not know"
    EXPIRED = "expired", logging.WARNING, "no verdict by the deadline"
    LISTING_FAILED = "listing_failed", logging.WARNING, "Microsoft's submissions could not be listed; tried next run"
    POISON_RECORDED = "poison_recorded", logging.WARNING, "a message that failed every attempt has its final row"
    POISON_UNRECORDED = "poison_unrecorded", logging.ERROR, "a poison message went back to its queue: storage failed"
    EVIDENCE_DROPPED = "evidence_dropped", logging.INFO, "`count` originals passed EVIDENCE_DAYS and were deleted"
    RUN_FINISHED = "run_finished", logging.INFO, "the heartbeat: `function` ended its run; alert on its absence"

    def __init__(self, label: str, level: int, meaning: str) -> None:
        self.label = label
        self.level = level
        self.meaning = meaning


def emit(event: Event, **fields: str | float | None) -> None:
    """Write one event. Values must be safe to log: pass addresses and ids of strangers through `fingerprint`.

    Graph's own codes go in as they are, kept to one word, so that none can pass for another field.
    """
    if not _logger.isEnabledFor(event.level):
        return
    told = " ".join(f"{name}={_word(value)}" for name, value in fields.items() if value is not None)
    _logger.log(event.level, "event=%s %s", event.label, told)


def _word(value: str | float) -> str:
    return "_".join(clean(str(value), LONGEST_VALUE).split())


def quiet_libraries() -> None:
    """Keep the client libraries' own lines below warnings out of the log: they tell addresses in request URLs."""
    for name in ("azure", "httpx", "httpcore", "kiota_http", "msal", "msgraph_core"):
        logging.getLogger(name).setLevel(logging.WARNING)


def fingerprint(text: str) -> str:
    """Twelve hex digits that stand for an address or id in a log without giving it away."""
    return hashlib.sha256(text.lower().encode("utf-8", "surrogatepass")).hexdigest()[:12]
