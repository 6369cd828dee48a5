"""The register of everything the product tells about itself: names, fields, units, meaning.

An event is one log line `event=<name> field=<value> ...` on the logger `shared.telemetry`, which the Functions host
takes to Application Insights. Fields are ids, counts, seconds, codes and short hashes; never a subject, an address, a
token or message content. Nothing else in the process writes to a log, and a failed invocation tells the host no more
than its event does.
"""

from __future__ import annotations

import enum
import hashlib
import logging
import re
import sys
import threading
import traceback
from pathlib import Path

from .domain.text import clean

LOGGER = __name__
LONGEST_VALUE = 200
WITHHELD = "withheld"
"""Stands where a word came from outside and is none that may be told: an address, a sentence, a path, a token."""
_logger = logging.getLogger(LOGGER)
_PACKAGE = Path(__file__).parent
_FROM_OUTSIDE = frozenset({"code", "request_id"})
_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a code or a request id of Microsoft's looks like: `ErrorItemNotFound`, `AuthorizationFailure`, a GUID."""
_WORD = re.compile(r"[A-Za-z0-9_.,:/+-]*")
"""Any value. Nothing in it ends a pair of the line, or a text in the JSON of infra/queries/_events.kql."""

FIELDS = {
    "agreement": "whether Microsoft's verdict agrees with the report",
    "campaigns": "different `CampaignId`s among a day's rows",
    "code": (
        "Graph's or storage's own word for what went wrong, or ours where no answer came (`no_token`, `ConnectError`, "
        "...); `withheld` where that word is no code"
    ),
    "confirmed": "rows whose claim Microsoft's verdict confirmed",
    "count": "how many",
    "covered": "rows that were not submitted themselves, as another one speaks for them",
    "day": "a UTC day, `yyyy-mm-dd`: that on which rows were received",
    "day_limit": "QUOTA_PER_DAY",
    "disputed": "rows that dispute a verdict",
    "disputes_won": "those of them that were confirmed",
    "error": "the type of an exception",
    "expired": "rows without a verdict by the deadline",
    "failed": "rows that were given up after retries",
    "false_negatives": "rows that claim bad mail was delivered",
    "false_positives": "rows that claim good mail was blocked",
    "file": "the name of a file in the container `feedback-texts`",
    "found": "`True` or `False`",
    "function": "the name of the function",
    "kind": "`email`, `url` or `file`",
    "lane": "where rows stand: `urgent`, `normal`, `low` wait; `in_flight`, `at_microsoft`, `uncertain`, `covered`",
    "left": "how many stay for later",
    "left_today": "submissions that the app may still send today: QUOTA_PER_DAY less what is left to people",
    "lost": "`True` when the message could not be put back on its queue either",
    "mailbox": "fingerprint of a mailbox's address",
    "message_hash": "fingerprint of a queue message's body",
    "missed": "days, over for a day, on which reports were due and none was submitted",
    "oldest_s": (
        "seconds since the oldest of them was received, 0 where there is none; in `uncertain` since its POST was sent, "
        "where a stopped worker left no time, since the row was due"
    ),
    "on": "what differs, words joined by commas",
    "queue": "the name of the queue",
    "reason": "the row's `StateReason`, or what is wrong with a message",
    "received": "rows that came in, whatever became of them",
    "refuted": "rows whose claim Microsoft's verdict refuted",
    "regular": "`pass`, `fail` or `not_yet`",
    "rejected": "rows that could never succeed",
    "reporters": "different reporters of a day's rows, a number alone",
    "request_id": "Graph's request id, for Microsoft's support",
    "seconds": "a time span in seconds; the event says which",
    "settled": "rows with a final verdict",
    "skipped": "rows that were rightly not submitted",
    "source": "`user_submissions`, `defender_alerts` or `hunting_query`",
    "stage": "what a reporter is told of: `received` or `verdict`",
    "state": "the row's `State`",
    "status": "the HTTP status of Graph's or storage's answer; absent where no answer came",
    "submission_id": "the row's id in the table `outcomes`",
    "submit_high_s": "seconds from receipt to submission that 95 % of a day's rows do not exceed",
    "submit_median_s": "median seconds from receipt to submission",
    "submitted": "rows that reached Microsoft",
    "table": "the name of the table",
    "task": "`retention` or `erasure`",
    "today": "submissions sent in the last 24 hours",
    "undecided": "rows whose verdict neither confirms nor refutes the claim",
    "verdict": "the row's verdict",
    "verdict_high_s": "seconds from receipt to verdict that 95 % of a day's rows do not exceed",
    "verdict_median_s": "median seconds from receipt to verdict",
    "way": "`submit`, `look_up` or `take_in`: how a row is taken up again; absent where an earlier run had begun it",
    "where": "file and line of our code that an exception came through last",
    "window": "submissions sent in the last 15 minutes",
    "window_limit": "QUOTA_PER_15_MIN less QUOTA_RESERVED_FOR_PEOPLE: what the app may send in 15 minutes",
    "wrong": "how many of them are wrong or unclear",
}
"""What each field means, the same in every event. Units are in the names; `seconds` speaks for itself."""


class Event(enum.Enum):
    """Log level, fields in the order in which they are told, and what it means when it is seen."""

    REPORTS_COLLECTED = (
        logging.INFO,
        "count mailbox",
        "`count` new rows from one reporting mailbox folder, told where there are any",
    )
    REPORT_DEFERRED = (
        logging.WARNING,
        "submission_id status code request_id error where",
        "a report could not be read, or its row not be written; it is tried again, and fails at last",
    )
    REPORT_DISAGREES = logging.INFO, "submission_id on", "a report's subject tells otherwise than its original `on`"
    MAILBOX_UNREACHABLE = (
        logging.WARNING,
        "mailbox status code request_id",
        "a mailbox gave no answer; whatever does not need it went on",
    )
    MAILBOX_FAILED = (
        logging.ERROR,
        "mailbox error where",
        "an error of the app or of storage ended the reading of a mailbox; the others were read",
    )
    ERASED = logging.INFO, "count", "a person was erased as an administrator asked, from `count` rows and blobs"
    ROWS_DELETED = logging.INFO, "count table", "`count` rows of a table were deleted, whose days of retention are over"
    DELTA_LINK_EXPIRED = logging.INFO, "mailbox", "a folder is read from the start; known rows stay"
    POLICY_UNREADABLE = (
        logging.WARNING,
        "status code request_id error where",
        "REPORT_DESTINATION=auto fell back to `mailbox`",
    )
    SOURCE_READ = logging.INFO, "source count", "`count` new rows or requests from one source beside the mailbox"
    SOURCE_UNREADABLE = (
        logging.WARNING,
        "source status code request_id error where",
        "a source gave no whole answer, or reading it failed; the others were read",
    )
    SOURCE_ROW_FAILED = (
        logging.WARNING,
        "source submission_id error where",
        "a row of a source could not be taken in; it is tried again at every look, and fails at last",
    )
    SOURCE_ROWS_UNUSABLE = logging.WARNING, "source count", "`count` of a source's rows lack what is needed"
    HUNTING_LIMITED = logging.WARNING, "left", "the query found too much at once; `left` rows come later"
    REQUEST_ACCEPTED = logging.INFO, "submission_id kind reason", "an operator's message became a row"
    REQUEST_REJECTED = (
        logging.INFO,
        "submission_id kind reason",
        "an operator's message broke a rule; `reason` says which",
    )
    REQUEST_REPEATED = logging.INFO, "submission_id kind", "an operator's message seen before; nothing changed"
    SLOTS_GIVEN = logging.INFO, "count left_today", "`count` rows were dispatched; `left_today` submissions remain"
    SLOT_MISSED = logging.INFO, "submission_id", "a row reached its slot too late, or the slot was taken back"
    SUBMITTED = logging.INFO, "submission_id seconds", "Microsoft has it; `seconds` since the report was received"
    SUBMISSION_REFUSED = (
        logging.WARNING,
        "submission_id reason status code request_id seconds",
        "Microsoft refused it for good; the row is rejected",
    )
    MATERIAL_GONE = (
        logging.WARNING,
        "submission_id reason",
        "what was to be submitted cannot be had any more; the row is rejected",
    )
    ANSWER_LOST = (
        logging.WARNING,
        "submission_id reason status code request_id seconds",
        "a POST's answer never came, or its worker stopped; the row is uncertain",
    )
    THROTTLED = (
        logging.WARNING,
        "submission_id reason status code request_id seconds",
        "429 to a submission: nothing is sent for `seconds`",
    )
    NOT_ALLOWED = (
        logging.WARNING,
        "submission_id reason status code request_id seconds",
        "401, 402, 403 or no token: submissions pause for `seconds`; check role and licence",
    )
    ATTEMPT_DELAYED = (
        logging.INFO,
        "submission_id reason code request_id seconds",
        "a row waits anew, for its turn after `seconds`",
    )
    GAVE_UP = (
        logging.WARNING,
        "submission_id reason status code request_id seconds",
        "a row failed, for `reason`; it can be replayed",
    )
    REPLAYED = (
        logging.INFO,
        "submission_id state way",
        "a failed or rejected row was taken up again, as an administrator asked",
    )
    REPLAY_REFUSED = (
        logging.WARNING,
        "submission_id reason",
        "a row could not be taken up again; `reason` says why, its `StateDetail` what to do",
    )
    REPLAYS_UNREAD = (
        logging.WARNING,
        "error",
        "what is to be replayed could not be read; the run settles what it can, and the next one looks again",
    )
    ROW_RAISED = (
        logging.ERROR,
        "submission_id error where",
        "something failed for one row; the others went on, and it is tried again at the next run",
    )
    ROW_GONE = logging.WARNING, "submission_id", "a row was deleted while something was still to be done for it"
    RECONCILED = logging.INFO, "submission_id found", "an uncertain row was `found` at Microsoft, or not"
    SETTLED = (
        logging.INFO,
        "submission_id verdict agreement seconds",
        "a final verdict; `seconds` since the report was received",
    )
    UNKNOWN_RESULT = (
        logging.WARNING,
        "submission_id",
        "Microsoft used a word that the verdict table does not know",
    )
    EXPIRED = logging.WARNING, "submission_id", "no verdict by the deadline"
    LISTING_FAILED = (
        logging.WARNING,
        "kind status code request_id",
        "Microsoft's submissions could not be listed; tried next run",
    )
    POISON_RECORDED = (
        logging.WARNING,
        "queue message_hash reason",
        "a message that failed every attempt has its final row",
    )
    POISON_UNRECORDED = (
        logging.ERROR,
        "message_hash error lost",
        "a poison message went back to a queue, to be tried again: storage failed",
    )
    BACKLOG = (
        logging.INFO,
        "lane count oldest_s",
        "how many rows are in a `lane` (of over 10,000 covered ones, about), and how old; all seven are told each run",
    )
    QUOTA_USED = (
        logging.INFO,
        "window window_limit today day_limit",
        "what Microsoft's limits count of the app's own submissions, at each settle run",
    )
    BACKLOG_UNTOLD = (
        logging.ERROR,
        "error where",
        "backlog and quota could not be read after settling; their alerts are blind until it passes",
    )
    NOTIFIED = (
        logging.INFO,
        "submission_id stage seconds",
        "a reporter was told; `seconds` since the answer became due",
    )
    NOTIFICATION_LOST = (
        logging.WARNING,
        "submission_id stage status code request_id",
        "an answer to a reporter may have been sent or not; it is looked up half an hour later, before anything else",
    )
    NOTIFICATION_UNDELIVERABLE = (
        logging.WARNING,
        "submission_id stage status code request_id",
        "a reporter cannot be told: Exchange refused the mail, or nothing came of it in a week",
    )
    NOTIFICATIONS_PAUSED = (
        logging.WARNING,
        "seconds status code request_id",
        "FEEDBACK_MAILBOX may not send: no answer leaves for `seconds`; after 401 to 404, check grant and address",
    )
    NOTIFICATIONS_UNREAD = (
        logging.WARNING,
        "status code request_id",
        "the mails that FEEDBACK_MAILBOX sent could not be read; lost answers are looked up at the next run",
    )
    NOTIFICATIONS_FAILED = (
        logging.ERROR,
        "error where",
        "giving answers their turns failed; submissions went on, and it is tried again at the next run",
    )
    FEEDBACK_TEXT_UNUSABLE = (
        logging.ERROR,
        "file on reason",
        "the text `on` of a `file` in the container feedback-texts breaks a rule; the shipped text stands in",
    )
    STATISTICS = (
        logging.INFO,
        (
            "day received submitted covered skipped rejected failed expired settled confirmed refuted undecided "
            "false_negatives false_positives reporters campaigns disputed disputes_won submit_median_s submit_high_s "
            "verdict_median_s verdict_high_s"
        ),
        "a day's row of the table `statistics`, told once it is over and once a day while it still changes",
    )
    REGULARITY = (
        logging.INFO,
        "regular received submitted failed missed",
        "whether submitting is regular, by the last 30 days; told once a day (rule: shared/domain/regularity.py)",
    )
    DELETION_FAILED = (
        logging.ERROR,
        "task error where",
        "what is kept no longer, or is to be erased, could not be deleted; tried again at the next run",
    )
    STATISTICS_UNKEPT = (
        logging.WARNING,
        "error where",
        "the table `statistics` could not be brought up to date; tried again within the hour, nothing is left out",
    )
    RUN_FINISHED = (
        logging.INFO,
        "function count seconds",
        "the heartbeat: a timer function ended its run well, after `seconds`; alert on its absence",
    )
    HEARTBEAT_UNWRITTEN = (
        logging.WARNING,
        "function error",
        "a timer's run could not be noted in the table `runstate`: whoever looks there sees an older one",
    )
    EXAMINED = (
        logging.INFO,
        "count wrong error",
        "the doctor ran in the app because an administrator asked; `count` lines, `error` where it ended early",
    )
    RUN_FAILED = (
        logging.ERROR,
        "function error where status code",
        "an invocation failed; the host repeats a queue message, a timer runs again at its next time",
    )

    def __init__(self, level: int, fields: str, meaning: str) -> None:
        self.level = level
        self.fields: tuple[str, ...] = tuple(fields.split())
        self.meaning = meaning

    @property
    def label(self) -> str:
        """The name in the log."""
        return self.name.lower()


def emit(event: Event, **fields: str | float | None) -> None:
    """Write one event. Values must be safe to log: pass addresses and ids of strangers through `fingerprint`.

    Graph's and storage's own codes go in as they are where they look like codes. A field that is None is left out.
    """
    told = {name: _safe(name, value) for name, value in fields.items() if value is not None}
    _logger.log(event.level, "event=%s %s", event.label, " ".join(f"{name}={value}" for name, value in told.items()))


def _safe(name: str, value: str | float) -> str | float:
    """A number as it is; a text where it is one word of the kind that its field holds, else `WITHHELD`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    word = clean(str(value), LONGEST_VALUE)
    is_told = (_CODE if name in _FROM_OUTSIDE else _WORD).fullmatch(word)
    return word if is_told or not word else WITHHELD


class RunFailed(Exception):
    """An invocation failed: look for its event `run_failed`, and at the code that it names.

    This is all that the host is told. It writes whatever an invocation raises to Application Insights, twice, with
    every cause and traceback, and what the libraries raise holds URLs, and with them addresses and message ids.
    """


def run_failed(function: str, error: Exception) -> RunFailed:
    """Tell that an invocation failed, by type, place and code, never the error's text; returns what to raise for it.

    Raise it when `error` is no longer handled: as its context, `error` would go to the host with it.
    """
    status, code = _answer(error)
    name, where = type(error).__name__, raised_at(error)
    emit(Event.RUN_FAILED, function=function, error=name, where=where, status=status, code=code)
    answer = [str(one) for one in (status, code and _safe("code", code)) if one]
    return RunFailed(" ".join([name, "at", where or "no line of ours", *answer]))


def _answer(error: Exception) -> tuple[int | None, str | None]:
    """Status and code of the answer that an error is about: Graph's, in our errors, or storage's, in the library's."""
    status = getattr(error, "status", getattr(error, "status_code", None))
    code = getattr(error, "code", getattr(error, "error_code", None))
    code = getattr(code, "value", code)  # the storage libraries' codes are enumerations
    return (status if isinstance(status, int) else None), (code if isinstance(code, str) else None)


def raised_at(error: BaseException) -> str | None:
    """File and line of the package `shared` that an exception came through last; None where it came through none."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    return f"{Path(ours[-1].filename).relative_to(_PACKAGE.parent).as_posix()}:{ours[-1].lineno}" if ours else None


def log_events_only() -> None:
    """Silence every logger of the process but the events', and Python's last words; call it before anything runs.

    What the client libraries and asyncio log holds addresses in URLs and whole exceptions, and the worker hands every
    line of the root logger to the host, which also reads what Python writes to standard error of an exception that no
    code can catch. A library that sets a level of its own would be heard; none of ours does.
    """
    logging.getLogger().setLevel(logging.CRITICAL + 1)
    _logger.setLevel(logging.INFO)
    threading.excepthook = sys.unraisablehook = _say_nothing


def _say_nothing(_failure: object) -> None:
    """Leave it unsaid."""


def fingerprint(text: str) -> str:
    """Twelve hex digits that stand for an address or id in a log without giving it away."""
    return hashlib.sha256(text.lower().encode("utf-8", "surrogatepass")).hexdigest()[:12]
