"""What Microsoft's answer means: 28 result categories and 71 details become one verdict and one agreement.

The two tables are the only place that knows Microsoft's words. `judge` is total: every combination of strings, known
or not, has an answer, and a submission that Microsoft has finished never waits for a word to become known. The words
are those of `submissionResultCategory` and `submissionResultDetail` (Microsoft Graph beta metadata, August 2026);
their meanings come from the resource page of `submissionResult` and from "Submission result definitions" (Defender
for Office 365, July 2026).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .model import Agreement, Category, Verdict


class Weight(enum.IntEnum):
    """Which of the two words decides when category and detail say different things."""

    NOTHING = 0
    """Says nothing about the item."""
    HINT = 1
    """An older, general category: the filter's view, which any detail explains better."""
    REASON = 2
    """A detail: why the result is what it is."""
    RESULT = 3
    """A result as the Defender portal shows it: it sums up the details."""
    MISDIRECTED = 4
    """The claim itself was pointless, which no category can express."""


class Reading(NamedTuple):
    """What one word says. Without a verdict it is either `WAITING` or `NOTHING`."""

    verdict: Verdict | None
    weight: Weight


@dataclass(frozen=True, slots=True)
class Judgement:
    """What stands after an answer: nothing yet, or a verdict with its agreement to the claim.

    `is_known` is False when the answer holds a word that the tables do not know; count it, and keep the raw words.
    """

    is_final: bool
    verdict: Verdict | None
    agreement: Agreement | None
    is_known: bool


def _hint(verdict: Verdict) -> Reading:
    return Reading(verdict, Weight.HINT)


def _reason(verdict: Verdict) -> Reading:
    return Reading(verdict, Weight.REASON)


def _result(verdict: Verdict) -> Reading:
    return Reading(verdict, Weight.RESULT)


NOTHING = Reading(None, Weight.NOTHING)
WAITING = Reading(None, Weight.REASON)
UNKNOWN = Reading(Verdict.UNDETERMINED, Weight.NOTHING)
WRONG_DIRECTION = Reading(Verdict.WRONG_DIRECTION, Weight.MISDIRECTED)

CATEGORIES: Mapping[str, Reading] = {
    # Always returned.
    "notJunk": _hint(Verdict.CLEAN),  # the mail is good
    "spam": _hint(Verdict.SPAM),  # spam; still the portal's word for it
    "phishing": _hint(Verdict.MALICIOUS),  # older word for threats found
    "malware": _hint(Verdict.MALICIOUS),  # older word for threats found
    "allowedByPolicy": _hint(Verdict.ALLOWED_BY_OVERRIDE),  # older word for an override, not yet whose
    "blockedByPolicy": _hint(Verdict.BLOCKED_BY_OVERRIDE),  # older word for an override, not yet whose
    "spoof": _hint(Verdict.SPOOF),  # the sender was forged
    "unknown": _hint(Verdict.UNDETERMINED),  # checked, but the analysts cannot make a decision
    "noResultAvailable": _hint(Verdict.UNDETERMINED),  # finished without a result; the detail may say why
    "unknownFutureValue": UNKNOWN,  # what Graph says in place of a newer word when the Prefer header is missing
    # Returned only with `Prefer: include-unknown-enum-members`.
    "beingAnalyzed": WAITING,  # checks are still running
    "notSubmittedToMicrosoft": _result(Verdict.NOT_RECEIVED),  # reported to the mailbox only
    "phishingSimulation": _result(Verdict.SIMULATION),  # the tenant's own training campaign
    "allowedDueToOrganizationOverride": _result(Verdict.ALLOWED_BY_OVERRIDE),  # a list, rule or policy let it in
    "blockedDueToOrganizationOverride": _result(Verdict.BLOCKED_BY_OVERRIDE),  # a list, rule or policy stopped it
    "allowedDueToUserOverride": _result(Verdict.ALLOWED_BY_OVERRIDE),  # the recipient's safe lists
    "blockedDueToUserOverride": _result(Verdict.BLOCKED_BY_OVERRIDE),  # the recipient's blocked list
    "itemNotfound": _result(Verdict.NOT_FOUND),  # deleted or invalid (the spelling is Microsoft's)
    "threatsFound": _result(Verdict.MALICIOUS),  # malicious
    "noThreatsFound": _result(Verdict.CLEAN),  # clean
    "domainImpersonation": _result(Verdict.IMPERSONATION),  # resembles a protected domain
    "userImpersonation": _result(Verdict.IMPERSONATION),  # resembles a protected user
    "brandImpersonation": _result(Verdict.IMPERSONATION),  # poses as a brand
    "authenticationFailure": _result(Verdict.AUTHENTICATION_FAILURE),  # the sender failed SPF, DKIM or DMARC
    "spoofedBlocked": _result(Verdict.SPOOF),  # forged sender, blocked
    "spoofedAllowed": _result(Verdict.SPOOF),  # forged sender, let in
    "reasonLostInTransit": _hint(Verdict.UNDETERMINED),  # hybrid routing lost the verdict
    "bulk": _result(Verdict.BULK),  # bulk mail; the tenant's threshold decides
}

DETAILS: Mapping[str, Reading] = {
    # No verdict yet, or none at all.
    "none": NOTHING,  # no additional detail
    "underInvestigation": WAITING,  # still investigating
    "willNotifyOnceDone": WAITING,  # still investigating, longer than usual
    "unknownFutureValue": UNKNOWN,  # as in the categories
    "checkUserReportedSettings": _reason(Verdict.NOT_RECEIVED),  # the tenant keeps reports in its own mailbox
    "itemNotReceivedByService": _reason(Verdict.NOT_RECEIVED),  # a rule, connector or DLP policy stopped it
    "messageNotFound": _reason(Verdict.NOT_FOUND),  # submit the mail itself instead
    "itemDeleted": _reason(Verdict.NOT_FOUND),  # deleted before it was looked at
    "outboundNotRescanned": _reason(Verdict.NOT_FOUND),  # the outgoing mail is not to be had: submit it as a file
    "onPremisesSkip": _reason(Verdict.UNDETERMINED),  # passed other protection first, cannot be analysed
    "unableToMakeDecision": _reason(Verdict.UNDETERMINED),  # no decision possible now
    "urlFileCannotMakeDecision": _reason(Verdict.UNDETERMINED),  # no decision on the URL or file now
    "outboundCannotMakeDecision": _reason(Verdict.UNDETERMINED),  # no decision on the outgoing mail now
    "goodReclassifiedAsCannotMakeDecision": _reason(Verdict.UNDETERMINED),  # was let in, no decision now
    "badReclassifiedAsCannotMakeDecision": _reason(Verdict.UNDETERMINED),  # was blocked, no decision now
    # Simulations.
    "simulatedThreat": _reason(Verdict.SIMULATION),  # a simulated phish
    "partOfEducationCampaign": _reason(Verdict.SIMULATION),  # a training campaign
    # What the analysis found; good and bad are how the mail was treated before.
    "goodReclassifiedAsGood": _reason(Verdict.CLEAN),  # was let in, rightly
    "goodReclassifiedAsBad": _reason(Verdict.MALICIOUS),  # was let in: a false negative
    "goodReclassifiedAsBulk": _reason(Verdict.BULK),  # was let in, is bulk
    "badReclassifiedAsGood": _reason(Verdict.CLEAN),  # was blocked: a false positive
    "badReclassifiedAsBad": _reason(Verdict.MALICIOUS),  # was blocked, rightly
    "badReclassifiedAsBulk": _reason(Verdict.BULK),  # was blocked, is bulk
    "itemFoundClean": _reason(Verdict.CLEAN),  # clean
    "itemFoundMalicious": _reason(Verdict.MALICIOUS),  # malicious
    "itemFoundSpam": _reason(Verdict.SPAM),  # spam
    "itemFoundBulk": _reason(Verdict.BULK),  # bulk
    "urlFileShouldBeBlocked": _reason(Verdict.MALICIOUS),  # the URL or file is malicious
    "urlFileShouldNotBeBlocked": _reason(Verdict.CLEAN),  # the URL or file is clean
    "outboundShouldBeBlocked": _reason(Verdict.MALICIOUS),  # the outgoing mail is malicious
    "outboundShouldNotBeBlocked": _reason(Verdict.CLEAN),  # the outgoing mail is clean
    "outboundBulk": _reason(Verdict.BULK),  # the outgoing mail is bulk
    # The claim did not fit what had happened to the mail.
    "invalidFalsePositive": WRONG_DIRECTION,  # claimed to be blocked wrongly, is allowed already
    "invalidFalseNegative": WRONG_DIRECTION,  # claimed to be let in wrongly, is blocked already
    # Who the sender pretended to be.
    "spoofBlocked": _reason(Verdict.SPOOF),  # found to be forged and blocked
    "endUserBeingSpoofed": _reason(Verdict.SPOOF),  # forged as one of the tenant's users
    "senderFailedAuthentication": _reason(Verdict.AUTHENTICATION_FAILURE),  # SPF, DKIM or DMARC failed
    "domainImpersonation": _reason(Verdict.IMPERSONATION),  # the domain impersonation policy decided
    "userImpersonation": _reason(Verdict.IMPERSONATION),  # the user impersonation policy decided
    "brandImpersonation": _reason(Verdict.IMPERSONATION),  # the brand impersonation policy decided
    "domainResembledYourOrganization": _reason(Verdict.IMPERSONATION),  # a look-alike of the tenant's domain
    "endUserBeingImpersonated": _reason(Verdict.IMPERSONATION),  # a look-alike of one of its users
    "associatedWithBrand": _reason(Verdict.IMPERSONATION),  # poses as a brand
    # Overrides that let it in: the tenant has to change its own settings.
    "allowedBySecOps": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # a SecOps mailbox gets everything
    "allowedByAdvancedDelivery": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # advanced delivery policy
    "allowedByThirdPartyFilters": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # another filter in front of Microsoft's
    "allowedByEnhancedFiltering": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # enhanced filtering for connectors
    "allowedByTenantAllowBlockList": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # allow entry for something in it
    "allowedUrlByTenantAllowBlockList": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # allow entry for the URL
    "allowedFileByTenantAllowBlockList": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # allow entry for the file
    "allowedSenderByTenantAllowBlockList": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # allow entry for the sender
    "allowedRecipientByTenantAllowBlockList": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # allow entry for the recipient
    "allowedByConnection": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # sending IP in the connection filter
    "allowedByExchangeTransportRule": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # a mail flow rule
    "allowedByUserSetting": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # the recipient's safe senders
    "allowedByTenant": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # a policy's action
    "junkMailRuleDisabled": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # meant for Junk, which the recipient switched off
    "quarantineReleased": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # blocked, then released by somebody
    "zeroHourAutoPurgeQuarantineReleased": _reason(Verdict.ALLOWED_BY_OVERRIDE),  # purged, then released by somebody
    # Overrides that stopped it.
    "blockedByTenantAllowBlockList": _reason(Verdict.BLOCKED_BY_OVERRIDE),  # block entry for something in it
    "blockedUrlByTenantAllowBlockList": _reason(Verdict.BLOCKED_BY_OVERRIDE),  # block entry for the URL
    "blockedFileByTenantAllowBlockList": _reason(Verdict.BLOCKED_BY_OVERRIDE),  # block entry for the file
    "blockedSenderByTenantAllowBlockList": _reason(Verdict.BLOCKED_BY_OVERRIDE),  # block entry for the sender
    "blockedRecipientByTenantAllowBlockList": _reason(Verdict.BLOCKED_BY_OVERRIDE),  # block entry for the recipient
    "blockedByConnection": _reason(Verdict.BLOCKED_BY_OVERRIDE),  # sending IP in the connection filter
    "blockedByExchangeTransportRule": _reason(Verdict.BLOCKED_BY_OVERRIDE),  # a mail flow rule
    "blockedByUserSetting": _reason(Verdict.BLOCKED_BY_OVERRIDE),  # the recipient's blocked senders
    "blockedByTenant": _reason(Verdict.BLOCKED_BY_OVERRIDE),  # a policy's action
    "quarantineReleasedThenBlocked": _reason(Verdict.BLOCKED_BY_OVERRIDE),  # released, then blocked by the recipient
    # Zero-hour purge. Two versions of Microsoft's page contradict each other on the first and agree that the second
    # was found bad after delivery.
    "zeroHourAutoPurgeAllowed": _reason(Verdict.UNDETERMINED),
    "zeroHourAutoPurgeBlocked": _reason(Verdict.MALICIOUS),
}

_RUNNING = frozenset({"notStarted", "running"})
_GAVE_UP = frozenset({"failed", "skipped"})
_SUCCEEDED = "succeeded"

_FALSE_NEGATIVES = frozenset({Category.PHISHING, Category.MALWARE, Category.SPAM})
_FALSE_POSITIVES = frozenset({Category.NOT_JUNK})
_NO_CLAIM: frozenset[Category] = frozenset()

# The claim is that the filter made a mistake: bad mail was let in, or good mail was blocked. How bad the mail turned
# out to be is the verdict's business, so spam confirms a claim of phishing and the reverse. Bulk is a matter of the
# tenant's threshold: reason enough to call it spam, none to call it a threat, and no answer to "not junk". A forged
# or imitated sender bears out a claim that the mail is bad, but good mail trips those checks as well. Everything that
# is not listed says what happened to the mail and nothing of what it is.
_CONFIRMS_AND_REFUTES: Mapping[Verdict, tuple[frozenset[Category], frozenset[Category]]] = {
    Verdict.MALICIOUS: (_FALSE_NEGATIVES, _FALSE_POSITIVES),
    Verdict.SPAM: (_FALSE_NEGATIVES, _FALSE_POSITIVES),
    Verdict.BULK: (frozenset({Category.SPAM}), frozenset({Category.PHISHING, Category.MALWARE})),
    Verdict.CLEAN: (_FALSE_POSITIVES, _FALSE_NEGATIVES),
    Verdict.SPOOF: (_FALSE_NEGATIVES, _NO_CLAIM),
    Verdict.IMPERSONATION: (_FALSE_NEGATIVES, _NO_CLAIM),
}


def judge(category: Category, status: str | None, result_category: str | None, result_detail: str | None) -> Judgement:
    """What Graph's `status`, `result.category` and `result.detail` mean for the claim `category`.

    Not final: ask again later. Final: the verdict stands, `undetermined` where Microsoft gave up or used only words
    that the tables do not know, because waiting would not make them known.
    """
    readings = _read(DETAILS, result_detail) + _read(CATEGORIES, result_category)
    is_known = UNKNOWN not in readings and (not status or status in {*_RUNNING, *_GAVE_UP, _SUCCEEDED})
    if not _is_final(status, readings):
        return Judgement(is_final=False, verdict=None, agreement=None, is_known=is_known)
    verdict = _heaviest(readings)
    return Judgement(is_final=True, verdict=verdict, agreement=agreement_of(category, verdict), is_known=is_known)


def agreement_of(category: Category, verdict: Verdict) -> Agreement:
    """Whether `verdict` bears out the claim `category`; for rows that take another row's verdict, too."""
    confirmed, refuted = _CONFIRMS_AND_REFUTES.get(verdict, (_NO_CLAIM, _NO_CLAIM))
    if category in confirmed:
        return Agreement.CONFIRMED
    return Agreement.REFUTED if category in refuted else Agreement.UNDECIDED


def _read(table: Mapping[str, Reading], word: str | None) -> list[Reading]:
    reading = table.get(word, UNKNOWN) if word else NOTHING
    return [] if reading is NOTHING else [reading]


def _is_final(status: str | None, readings: list[Reading]) -> bool:
    if status in _GAVE_UP:
        return True  # a detail such as `underInvestigation` may have been left behind; nobody investigates any more
    if status in _RUNNING or WAITING in readings:
        return False
    if status == _SUCCEEDED:
        return bool(readings)
    return any(reading is not UNKNOWN for reading in readings)


def _heaviest(readings: list[Reading]) -> Verdict:
    verdicts = [(reading.weight, reading.verdict) for reading in readings if reading.verdict is not None]
    return max(verdicts, key=lambda weighted: weighted[0], default=(Weight.NOTHING, Verdict.UNDETERMINED))[1]
