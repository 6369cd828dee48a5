"""What has to hold after a history, by the contract alone: the public tables, the queues, and what Microsoft has.

Nothing here knows how the product works inside. The truth about changes is what was written to `outcomes`, the truth
about submissions is what Microsoft took. A finding has a kind, so that many of one kind are one fault.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.answers import Stage, mark_of
from shared.domain.model import Category, OutcomeKey
from shared.domain.verdicts import judge as judge_words
from shared.ports import Entity
from tests.histories.history import FINAL, REPLAYABLE, History
from tests.histories.items import Item
from tests.histories.microsoft import DAY, ITEM_WINDOW, Effect
from tests.histories.virtual_time import BEGIN
from tests.histories.witness import Step

SPEAKS_FOR = timedelta(hours=24)
TOLERANCE = timedelta(seconds=10)
"""Clocks and calls: how long after a row stopped speaking another may still count it as speaking."""
_TROUBLES = ("not_sent", "report_unavailable", "poison_message")
"""Reasons that name a trouble which passed."""
_ID = re.compile(r"[0-9a-f]{32}")
_LOG_KEY = re.compile(r"(\d{13})-([0-9a-f]{32})-(\d{3,})")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be. `kind` names the promise that is broken."""

    kind: str
    what: str


def findings_of(history: History) -> list[Finding]:
    """Everything that is wrong with how a history ended."""
    verdict = _Judge(history)
    checks = (
        verdict.every_source_has_its_row,
        verdict.every_row_is_final,
        verdict.functions_run,
        verdict.no_item_is_submitted_twice,
        verdict.no_dispute_is_covered,
        verdict.every_submission_has_its_row,
        verdict.no_item_comes_too_early,
        verdict.no_window_is_broken,
        verdict.the_feed_is_the_chain,
        verdict.revisions_count_the_changes,
        verdict.verdicts_are_the_items_own,
        verdict.nobody_speaks_for_ever,
        verdict.skipped_rows_are_at_microsoft,
        verdict.nothing_is_given_up_for_trouble,
        verdict.nothing_is_left_over,
        verdict.reporters_are_told_once,
    )
    return [finding for check in checks for finding in check()]


class _Judge:
    def __init__(self, history: History) -> None:
        self.history = history
        self.expected = history.expected
        self.rows = sorted(history.outcomes.rows(), key=lambda row: str(row["RowKey"]))
        self.by_id = {str(row["RowKey"]): row for row in self.rows}
        self.steps = history.outcomes.steps
        self.microsoft = history.microsoft
        self.own_effects = [one for one in self.microsoft.effects if one.row is not None]
        self.events: defaultdict[str, list[Entity]] = defaultdict(list)
        for row in sorted(history.log.rows(), key=lambda one: (str(one["PartitionKey"]), str(one["RowKey"]))):
            self.events[str(row["SubmissionId"])].append(row)

    # Rows.

    def every_source_has_its_row(self) -> Iterator[Finding]:
        """Every report, request and user submission has exactly one row."""
        reports = Counter((str(r["Mailbox"]), str(r["ReportMessageId"])) for r in self.rows if "ReportMessageId" in r)
        for place in self.expected.reports:
            if reports[place] != 1:
                how = "moved in" if place in self.expected.moved_in else "told"
                yield Finding(f"{_many(reports[place])} for a report ({how})", f"{place[1]}: {reports[place]}")
        manual = [row for row in self.rows if row["Source"] == "manual"]
        asked = Counter(str(row.get("RequestId")) for row in manual if row.get("StateReason") != "request_id_conflict")
        for request_id in self.expected.requests:
            if asked[request_id] != 1:
                yield Finding(f"{_many(asked[request_id])} for a request", f"{request_id}: {asked[request_id]}")
        hunted = {one["RequestId"] for one in manual if _is_hunted(one)}
        others = len(self.expected.nameless) + len(self.expected.conflicts) + len(self.expected.unreadable)
        most = len(self.expected.requests) + others + len(hunted)
        least = most - len(self.expected.conflicts)  # the same content under a conflicting id may come first
        if not least <= len(manual) <= most:
            yield Finding("wrong number of requests", f"{len(manual)} rows of requests, not {most}")
        yield from self._rows_of_sources(manual)
        strangers = set(reports) - set(self.expected.reports)
        if strangers:
            yield Finding("row without a source", f"{sorted(strangers)}")

    def _rows_of_sources(self, manual: list[Entity]) -> Iterator[Finding]:
        users = Counter(str(row["GraphSubmissionId"]) for row in self.rows if row["Source"] == "microsoft")
        least = int(self.history.tells_of_user_submissions)
        for submission_id in self.expected.user_submissions:
            if not least <= users[submission_id] <= 1:
                yield Finding(f"{_many(users[submission_id])} for a user submission", submission_id)
        hunted = {(found.get("Url"), found.get("InternetMessageId")) for found in self.microsoft.hunted}
        asked_for = {row["RequestId"] for row in manual if _is_hunted(row)}
        if self.history.settings.hunting_query and len(asked_for) != len(hunted):
            yield Finding("wrong number of rows from hunting", f"{len(asked_for)}, not {len(hunted)}")

    def every_row_is_final(self) -> Iterator[Finding]:
        """Every row ends."""
        for row in self.rows:
            if row["State"] not in FINAL:
                yield Finding(f"never final: {row['State']}", f"{row['RowKey']} {row.get('StateReason')}")

    def functions_run(self) -> Iterator[Finding]:
        """Once nothing goes wrong any more, no function fails; and no failure is a mistake of the product's own."""
        counts = Counter((one.function, type(one.error).__name__) for one in self.history.failures_in_quiet)
        for (name, error), count in sorted(counts.items()):
            kind = f"{name} is dead for good" if count >= 5 else f"{name} fails without trouble"
            yield Finding(kind, f"{error}, {count} times after all trouble was over")
        raised = Counter(
            (one.function, repr(one.error)[:200])
            for one in self.history.host.failures
            if one not in self.history.failures_in_quiet and not _is_outer(one.error)
        )
        for (name, told), count in sorted(raised.items()):
            yield Finding(f"{name} raises {told.partition('(')[0]}", f"{told}, {count} times")

    # Submissions.

    def no_item_is_submitted_twice(self) -> Iterator[Finding]:
        """No (item, claim) is at Microsoft twice, but for the causes that the contract names."""
        by_claim: defaultdict[tuple[str, str], list[Effect]] = defaultdict(list)
        for effect in self.own_effects:
            by_claim[effect.item_key, effect.claim].append(effect)
        for (item, claim), effects in by_claim.items():
            for one, other in itertools.pairwise(effects):
                why = self._why_twice(one, other)
                if why is not None:
                    yield Finding(
                        "second POST", f"{item} {claim} at {one.at:%d %H:%M:%S} and {other.at:%d %H:%M:%S}: {why}"
                    )

    def _why_twice(self, one: Effect, other: Effect) -> str | None:
        """Why the second submission is without cause; None where it has one."""
        first, second = self.by_id.get(one.row or ""), self.by_id.get(other.row or "")
        if first is None or second is None:
            return "by a row that is not there"
        if first is second:
            return f"both by {first['RowKey']}"
        if self._is_unknown_item(first, one.at) or self._is_unknown_item(second, other.at):
            return None
        if "Disputes" in second:  # what disputes a verdict is never covered
            return None
        if self._speaks_at(first, other.at):
            return f"{first['RowKey']} spoke for it when {second['RowKey']} was sent"
        return None

    def _is_unknown_item(self, row: Entity, at: datetime) -> bool:
        """Whether it asked for a mail by its place in a mailbox, and nobody could look it up until then."""
        known, _ = self._state_at(str(row.get("RowKey")), at)
        told = row if known is None else known.entity
        return told.get("Kind") == "email" and told.get("Source") == "manual" and "NetworkMessageId" not in told

    def _speaks_at(self, row: Entity, at: datetime) -> bool:
        """Whether a row that was submitted spoke for its item: it was open, or had been settled within 24 hours."""
        state, since = self._state_at(str(row["RowKey"]), at - TOLERANCE)
        if state is None or state.state == "expired":
            return False
        if state.state not in FINAL:
            return True
        if state.state == "settled":
            return at - since < SPEAKS_FOR - TOLERANCE
        return state.entity.get("StateReason") == "never_reconciled"

    def _state_at(self, submission_id: str, at: datetime) -> tuple[Step | None, datetime]:
        """A row's state at a moment, and since when it had it."""
        steps = [step for step in self.steps.get(submission_id, []) if self._moment(step) <= at]
        return (steps[-1], self._moment(steps[-1])) if steps else (None, at)

    def _moment(self, step: Step) -> datetime:
        return BEGIN + timedelta(seconds=step.at_s)

    def no_dispute_is_covered(self) -> Iterator[Finding]:
        """What disputes a verdict is submitted itself, whoever speaks for its item."""
        for row in self.rows:
            if "Disputes" in row and any(step.state == "covered" for step in self.steps[str(row["RowKey"])]):
                yield Finding("dispute covered", f"{row['RowKey']} by {row.get('CoveredBy')}")

    def every_submission_has_its_row(self) -> Iterator[Finding]:
        """What Microsoft took is some row's own submission, and no two rows' own."""
        owners: defaultdict[str, list[str]] = defaultdict(list)
        for row in self.rows:
            if "GraphSubmissionId" in row and "CoveredBy" not in row:
                owners[str(row["GraphSubmissionId"])].append(str(row["RowKey"]))
        for submission_id in sorted(self.expected.user_submissions.keys() & owners.keys()):
            taken = [one for one in owners[submission_id] if self.by_id[one]["Source"] != "microsoft"]
            if taken:
                yield Finding("a user's submission taken for our own", f"{submission_id}: {taken}")
        for effect in self.own_effects:
            own = owners[effect.submission.submission_id]
            maker = self.by_id.get(effect.row or "", {})
            if not own and maker.get("StateReason") != "never_reconciled":
                state = f"{maker.get('State')} {maker.get('StateReason')}"
                told = f"{effect.submission.submission_id} of {effect.row}: {state}"
                yield Finding("submission that no row owns", told)
            elif len(own) > 1:
                yield Finding("submission that two rows own", f"{effect.submission.submission_id}: {own}")

    def no_item_comes_too_early(self) -> Iterator[Finding]:
        """No POST is spent on a refusal that could be known: an item once in 15 minutes, three times a day."""
        for submission_id in sorted(set(self.microsoft.empty_posts)):
            yield Finding("POST of nothing", submission_id)
        for post in self.microsoft.item_refusals:
            row = self.by_id.get(post.submission_id, {})
            sent = [(row, post.at)] + [
                (self.by_id.get(one.row or "", {}), one.at)
                for one in self.own_effects
                if one.item_key == post.item and post.at - DAY < one.at <= post.at
            ]
            if not any(self._is_unknown_item(*one) for one in sent):
                near = [f"{one.at:%H:%M:%S}" for one in self.own_effects if one.item_key == post.item]
                yield Finding("too early for its item", f"{post.submission_id} at {post.at:%H:%M:%S}, before: {near}")

    def no_window_is_broken(self) -> Iterator[Finding]:
        """No 15 minutes and no day hold more POSTs than the app may send."""
        settings, arrivals = self.history.settings, [post.at for post in self.microsoft.posts]
        window = settings.quota_per_15_min - settings.quota_reserved_for_people
        people_s_day = settings.quota_per_day * settings.quota_reserved_for_people // settings.quota_per_15_min
        for name, span, most in (
            ("window", ITEM_WINDOW, window),
            ("day", DAY, settings.quota_per_day),
            ("people's part of the day", DAY, settings.quota_per_day - people_s_day),
        ):
            found = max((sum(start <= at < start + span for at in arrivals) for start in arrivals), default=0)
            if found > most:
                yield Finding(f"{name} over quota", f"{found} POSTs, at most {most} may be")
                break

    # The feed.

    def the_feed_is_the_chain(self) -> Iterator[Finding]:
        """Each change of a row stands in the feed exactly once, in order, and nothing else does."""
        for submission_id, steps in sorted(self.steps.items()):
            events = self.events.get(submission_id, [])
            told = [(str(one["Event"]), _text(one.get("Verdict"))) for one in events]
            truth = [(step.state, step.verdict) for step in steps]
            previous = [_text(one.get("PreviousState")) for one in events]
            names = [name for name, _ in told]
            if told != truth:
                yield Finding(
                    _what_is_wrong(told, truth), f"{submission_id}: told {names}, true {[one for one, _ in truth]}"
                )
            elif previous != [None, *names[:-1]]:
                yield Finding("wrong PreviousState", f"{submission_id}: {list(zip(previous, names, strict=True))}")
        for submission_id in sorted(self.events.keys() - self.steps.keys()):
            yield Finding("false event", f"{submission_id}: events of a row that never was")
        for key in self.history.log.rewritten:
            yield Finding("the feed was rewritten", key)

    def revisions_count_the_changes(self) -> Iterator[Finding]:
        """Keys follow from the change; with `Revision` and `ChangedAt`, from exactly those."""
        for submission_id, events in sorted(self.events.items()):
            keys = [_LOG_KEY.fullmatch(str(event["RowKey"])) for event in events]
            for event, key in zip(events, keys, strict=True):
                if key is None or key[2] != submission_id:
                    yield Finding("malformed key of the feed", str(event["RowKey"]))
                    return
                day = datetime.fromtimestamp(int(key[1]) / 1000, UTC).strftime("%Y%m%d")
                if day != event["PartitionKey"]:
                    yield Finding("wrong partition of the feed", f"{event['PartitionKey']} {event['RowKey']}")
                yield from _revision_problems(event, key)
            yield from self._revision_problems_of_row(submission_id, events)

    def _revision_problems_of_row(self, submission_id: str, events: list[Entity]) -> Iterator[Finding]:
        row = self.by_id.get(submission_id, {})
        if "Revision" not in row:
            return
        steps = self.steps[submission_id]
        if row["Revision"] != len(steps):
            yield Finding("wrong Revision", f"{submission_id}: {row['Revision']}, {len(steps)} changes")
        if [event.get("Revision") for event in events] != list(range(1, len(events) + 1)):
            yield Finding(
                "wrong Revision", f"{submission_id}: {[event.get('Revision') for event in events]} in the feed"
            )
        changed: list[Any] = [event.get("ChangedAt") for event in events]
        if None in changed or any(one > other for one, other in itertools.pairwise(changed)):
            yield Finding("ChangedAt goes back", f"{submission_id}: {changed}")
        elif events and changed[-1] != row.get("ChangedAt"):
            yield Finding("wrong ChangedAt", f"{submission_id}: {row.get('ChangedAt')}, last event {changed[-1]}")

    # Verdicts and claims.

    def verdicts_are_the_items_own(self) -> Iterator[Finding]:
        """A row has the words of its own item; a covered one the verdict of the row that covers it."""
        effects = {one.submission.submission_id: one for one in self.microsoft.effects}
        for row in self.rows:
            item = self._item_of(row)
            if row["State"] != "settled" or item is None:
                continue
            if "CoveredBy" in row:
                yield from self._covered_verdict(row)
                continue
            effect = effects.get(str(row.get("GraphSubmissionId")))
            if effect is None:
                yield Finding("settled without a submission", f"{row['RowKey']}: {row.get('GraphSubmissionId')}")
            elif effect.item_key != item.key or effect.submission.category != row["Category"]:
                yield Finding("verdict of another item", f"{row['RowKey']} has {effect.submission.submission_id}")
            elif row.get("Verdict") != _verdict(row, item):
                yield Finding("wrong verdict", f"{row['RowKey']}: {row.get('Verdict')}, Microsoft says {item.words}")

    def _covered_verdict(self, row: Entity) -> Iterator[Finding]:
        holder = self.by_id.get(str(row["CoveredBy"]))
        if holder is None:
            yield Finding("covered by nobody", f"{row['RowKey']}")
        elif holder.get("Verdict") != row.get("Verdict"):
            told = f"{row.get('Verdict')}, but {holder['RowKey']}, {holder['State']}, has {holder.get('Verdict')}"
            yield Finding("verdict of nobody", f"{row['RowKey']}: {told}")

    def _item_of(self, row: Entity) -> Item | None:
        if "ReportMessageId" in row:
            return self.expected.reports.get((str(row["Mailbox"]), str(row["ReportMessageId"])))
        if row.get("StateReason") == "request_id_conflict":
            return None
        if row["Source"] == "microsoft":
            return self.expected.user_submissions.get(str(row["GraphSubmissionId"]))
        return self.expected.requests.get(str(row.get("RequestId")))

    def nobody_speaks_for_ever(self) -> Iterator[Finding]:
        """A row is covered only by one that was open, or settled less than a day before, when it came in."""
        for row in self.rows:
            holder = self.by_id.get(str(row.get("CoveredBy")))
            if holder is None or row["State"] not in ("settled", "expired"):
                continue
            came = _time(row["CollectedAt"])
            state, since = self._state_at(str(holder["RowKey"]), came - TOLERANCE)
            if state is not None and state.state == "settled" and came - since > SPEAKS_FOR + TOLERANCE:
                yield Finding(
                    "covered by an old verdict", f"{row['RowKey']} came {came - since} after {holder['RowKey']} settled"
                )
            if state is not None and state.state == "expired":
                yield Finding("covered by an expired row", f"{row['RowKey']} by {holder['RowKey']}")

    def skipped_rows_are_at_microsoft(self) -> Iterator[Finding]:
        """`already_at_microsoft` is said only where a user submitted this mail with this claim."""
        for row in self.rows:
            if row.get("StateReason") != "already_at_microsoft" or self.microsoft.temper.reports_reach_microsoft:
                continue
            item = self._item_of(row)
            claims = {one.claim for one in self.microsoft.effects if item is not None and one.item_key == item.key}
            good, bad = "notJunk" in claims, bool(claims - {"notJunk"})
            if not (good if row["Category"] == "notJunk" else bad):
                yield Finding(
                    "opposite claim suppressed", f"{row['RowKey']} {row['Category']}, at Microsoft: {sorted(claims)}"
                )

    # Troubles and leftovers.

    def nothing_is_given_up_for_trouble(self) -> Iterator[Finding]:
        """Outages cost time, never rows: what Graph or storage did for a while ends no row."""
        for row in self.rows:
            reason, state = row.get("StateReason"), row["State"]
            is_broken = (row.get("Mailbox"), row.get("ReportMessageId")) in self.history.mailboxes.broken
            if state == "failed" and reason in _TROUBLES and not is_broken:
                yield Finding(f"failed for a while's trouble: {reason}", f"{row['RowKey']} {row['Source']}")
            if state == "rejected" and not self._may_be_rejected(row):
                yield Finding("rejected too early", f"{row['RowKey']} {reason}")

    def _may_be_rejected(self, row: Entity) -> bool:
        """Whether another row's POST had succeeded between its first refusal and its end, or a day had passed."""
        refused = [
            one.at for one in self.microsoft.posts if one.submission_id == row["RowKey"] and one.status in (400, 404)
        ]
        if not refused:
            return True
        ended = self._moment(self.steps[str(row["RowKey"])][-1])
        others = [one.at for one in self.microsoft.posts if one.effect and one.submission_id != row["RowKey"]]
        return ended - refused[0] >= DAY - TOLERANCE or any(refused[0] - TOLERANCE <= at <= ended for at in others)

    def nothing_is_left_over(self) -> Iterator[Finding]:
        """A day after the last change no message, no request and no worklist entry of a finished row is left."""
        for name, queue in self.history.queues.items():
            if queue.messages:
                yield Finding(f"message left on {name}", queue.messages[0].body[:120])
        kept = {str(row["RowKey"]) for row in self.rows if row["State"] in REPLAYABLE}
        for entry in self.history.tables["worklist"].rows():
            ids = set(_ID.findall(str(entry["RowKey"])))
            if ids and not ids & kept:
                states = [self.by_id[one]["State"] if one in self.by_id else "no row" for one in sorted(ids)]
                yield Finding("worklist entry left over", f"{entry['RowKey']} {states}")
        for key in self.history.answers_left():
            yield Finding("answer left over", key)
        for row in self.history.tables["runstate"].rows():
            if row["PartitionKey"] == "replay":
                yield Finding("replay request left over", str(row["RowKey"]))

    # Answers.

    def reporters_are_told_once(self) -> Iterator[Finding]:
        """Each reporter whose row is settled has one mail with its verdict, one receipt at most; nobody else has."""
        outbox, settings = self.history.outbox, self.history.settings
        sent = Counter((one.mark, one.recipient) for one in outbox.left)
        for (mark, _), count in sent.items():
            if count > 1:
                yield Finding("told twice", mark)
        owed = {}
        for row in self.rows:
            if row["Source"] != "mailbox" or not settings.answers_reporters:
                continue
            key = OutcomeKey(str(row["PartitionKey"]), str(row["RowKey"]))
            receipt, verdict = (mark_of(key, stage) for stage in (Stage.RECEIVED, Stage.VERDICT))
            if "received" in settings.reporter_feedback and any(
                s.state in ("pending", "covered") for s in self.steps[key.submission_id]
            ):
                owed[receipt, str(row["Reporter"])] = row
            if row["State"] == "settled":
                owed[verdict, str(row["Reporter"])] = row
                yield from self._verdict_told(row, verdict)
        for mark, recipient in sorted(sent.keys() - owed.keys()):
            yield Finding("told whom nothing was owed", f"{mark} {recipient}")

    def _verdict_told(self, row: Entity, mark: str) -> Iterator[Finding]:
        is_told = any(one.mark == mark for one in self.history.outbox.left)
        says = row.get("ReporterTold")
        if not is_told and mark not in self.history.outbox.refused:
            yield Finding("not told", f"{row['RowKey']}: the row says {says}")
        elif says != ("verdict" if is_told else "undeliverable"):
            yield Finding("wrong ReporterTold", f"{row['RowKey']}: {says}, told {is_told}")


def _what_is_wrong(told: list[tuple[str, str | None]], truth: list[tuple[str, str | None]]) -> str:
    """Name the fault of a feed that differs from what happened."""
    surplus, missing = Counter(told) - Counter(truth), Counter(truth) - Counter(told)
    if surplus:
        return "false event"
    return "missing event" if missing else "events out of order"


def _revision_problems(event: Entity, key: re.Match[str]) -> Iterator[Finding]:
    if "Revision" in event and int(key[3]) != event["Revision"]:
        yield Finding("key does not follow from Revision", f"{event['RowKey']} {event['Revision']}")
    if "ChangedAt" in event and int(_time(event["ChangedAt"]).timestamp() * 1000) != int(key[1]):
        yield Finding("key does not follow from ChangedAt", f"{event['RowKey']} {event['ChangedAt']}")


def _verdict(row: Entity, item: Item) -> str | None:
    words = judge_words(Category(str(row["Category"])), "succeeded", *item.words)
    return None if words.verdict is None else words.verdict.value


def _is_outer(error: Exception) -> bool:
    """Whether a function may fail with it: only with what storage did."""
    return type(error).__name__ in ("StorageTroubleError", "TimeoutError")


def _is_hunted(row: Entity) -> bool:
    return str(row.get("RequestId")).startswith("hunting-")


def _many(count: int) -> str:
    return "no row" if count == 0 else "two rows"


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _time(value: Any) -> datetime:
    assert isinstance(value, datetime)
    return value
