"""Which verdict a submission gets, and after how long.

A verdict is a function of what was submitted, never of chance: the same mail gets the same verdict in every run. A mail
may name its own (`X-Sample-Verdict: category/detail` or `category/detail/status`, and `X-Sample-Verdict-Delay-S`), a
test may set one for a URL, a file name or a network message id, and the policy decides the rest.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from local.graph_simulator import vocabulary
from local.graph_simulator.submission import SubmissionRequest


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Microsoft will say `delay_s` seconds after the submission. Values may be ones no client knows yet."""

    category: str
    detail: str
    status: str = "succeeded"
    delay_s: float = 0.0


VerdictPolicy = Callable[[SubmissionRequest], Verdict]

# Ten equally likely verdicts a claim; on the whole, people who report phishing are right and false positives are real.
_GOOD_AS_BAD = ("threatsFound", "goodReclassifiedAsBad")
_GOOD_AS_GOOD = ("noThreatsFound", "goodReclassifiedAsGood")
_BULK = ("bulk", "goodReclassifiedAsBulk")
_UNDECIDED = ("unknown", "goodReclassifiedAsCannotMakeDecision")
_USUAL: Mapping[str, tuple[tuple[str, str], ...]] = {
    "phishing": (_GOOD_AS_BAD,) * 6 + (_GOOD_AS_GOOD, ("spam", "itemFoundSpam"), _BULK, _UNDECIDED),
    "malware": (_GOOD_AS_BAD,) * 8 + (_GOOD_AS_GOOD, _UNDECIDED),
    "spam": (("spam", "itemFoundSpam"),) * 5 + (_BULK,) * 2 + (_GOOD_AS_BAD, _GOOD_AS_GOOD, _UNDECIDED),
    "notJunk": (("noThreatsFound", "badReclassifiedAsGood"),) * 6
    + (("threatsFound", "badReclassifiedAsBad"),) * 2
    + (("bulk", "badReclassifiedAsBulk"), ("allowedDueToOrganizationOverride", "allowedByExchangeTransportRule")),
}


@dataclass(frozen=True, slots=True)
class UsualVerdicts:
    """A policy: the usual verdicts for each claim, between `least_s` and `most_s` seconds after the submission."""

    least_s: float = 5.0
    most_s: float = 120.0

    def __call__(self, request: SubmissionRequest) -> Verdict:
        """Return the verdict that the content of the request leads to."""
        digest = hashlib.sha256(request.item_key.encode()).digest()
        choices = _USUAL[request.category]
        category, detail = choices[digest[0] % len(choices)]
        share = int.from_bytes(digest[1:3], "big") / 0xFFFF
        return Verdict(category, detail, delay_s=self.least_s + share * (self.most_s - self.least_s))


class ScriptedVerdicts:
    """The mail's own marker first, then the table, then the policy."""

    def __init__(self, policy: VerdictPolicy) -> None:
        self.policy = policy
        self._table: dict[str, Verdict] = {}

    @property
    def table(self) -> Mapping[str, Verdict]:
        """The verdicts set so far."""
        return MappingProxyType(self._table)

    def set_verdict(self, item: str, verdict: Verdict) -> None:
        """Set the verdict of a URL, a file name or a network message id; `*` stands for everything."""
        self._table[item] = verdict

    def clear(self) -> None:
        """Forget the table."""
        self._table.clear()

    def decide(self, request: SubmissionRequest) -> Verdict:
        """Return the verdict of a submission."""
        names = (request.network_message_id, request.url, request.file_name, "*")
        listed = next((self._table[name] for name in names if name in self._table), None)
        return _apply_marker(request, listed or self.policy(request))


def _apply_marker(request: SubmissionRequest, verdict: Verdict) -> Verdict:
    words = request.verdict_marker.strip().split("/")
    if len(words) in {2, 3} and words[0] in vocabulary.RESULT_CATEGORIES and words[1] in vocabulary.RESULT_DETAILS:
        status = words[2] if len(words) == 3 and words[2] in vocabulary.STATUSES else "succeeded"
        verdict = replace(verdict, category=words[0], detail=words[1], status=status)
    delay_s = request.verdict_delay_s
    return verdict if delay_s is None else replace(verdict, delay_s=delay_s)
