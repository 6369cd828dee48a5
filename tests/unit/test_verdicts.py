"""The mapping of Microsoft's words to verdicts: complete, total, and right in the cases that matter."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.model import Agreement, Category, Verdict
from shared.domain.verdicts import CATEGORIES, DETAILS, agreement_of, judge

RESULT_CATEGORIES = re.findall(
    r"\w+",
    """
    notJunk spam phishing malware allowedByPolicy blockedByPolicy spoof unknown noResultAvailable unknownFutureValue
    beingAnalyzed notSubmittedToMicrosoft phishingSimulation allowedDueToOrganizationOverride
    blockedDueToOrganizationOverride allowedDueToUserOverride blockedDueToUserOverride itemNotfound threatsFound
    noThreatsFound domainImpersonation userImpersonation brandImpersonation authenticationFailure spoofedBlocked
    spoofedAllowed reasonLostInTransit bulk
""",
)
RESULT_DETAILS = re.findall(
    r"\w+",
    """
    none underInvestigation simulatedThreat allowedBySecOps allowedByThirdPartyFilters messageNotFound
    urlFileShouldNotBeBlocked urlFileShouldBeBlocked urlFileCannotMakeDecision domainImpersonation userImpersonation
    brandImpersonation outboundShouldNotBeBlocked outboundShouldBeBlocked outboundBulk outboundCannotMakeDecision
    outboundNotRescanned zeroHourAutoPurgeAllowed zeroHourAutoPurgeBlocked zeroHourAutoPurgeQuarantineReleased
    onPremisesSkip allowedByTenantAllowBlockList blockedByTenantAllowBlockList allowedUrlByTenantAllowBlockList
    allowedFileByTenantAllowBlockList allowedSenderByTenantAllowBlockList allowedRecipientByTenantAllowBlockList
    blockedUrlByTenantAllowBlockList blockedFileByTenantAllowBlockList blockedSenderByTenantAllowBlockList
    blockedRecipientByTenantAllowBlockList allowedByConnection blockedByConnection allowedByExchangeTransportRule
    blockedByExchangeTransportRule quarantineReleased quarantineReleasedThenBlocked junkMailRuleDisabled
    allowedByUserSetting blockedByUserSetting allowedByTenant blockedByTenant invalidFalsePositive
    invalidFalseNegative spoofBlocked goodReclassifiedAsBad goodReclassifiedAsBulk goodReclassifiedAsGood
    goodReclassifiedAsCannotMakeDecision badReclassifiedAsGood badReclassifiedAsBulk badReclassifiedAsBad
    badReclassifiedAsCannotMakeDecision unknownFutureValue willNotifyOnceDone checkUserReportedSettings
    partOfEducationCampaign allowedByAdvancedDelivery allowedByEnhancedFiltering itemDeleted itemFoundClean
    itemFoundMalicious unableToMakeDecision domainResembledYourOrganization endUserBeingImpersonated
    associatedWithBrand senderFailedAuthentication endUserBeingSpoofed itemFoundBulk itemNotReceivedByService
    itemFoundSpam
""",
)

claims = st.sampled_from(list(Category))
statuses = st.sampled_from([None, "notStarted", "running", "succeeded", "failed", "skipped", "unknownFutureValue", "?"])
categories = st.none() | st.sampled_from(RESULT_CATEGORIES) | st.text()
details = st.none() | st.sampled_from(RESULT_DETAILS) | st.text()


def verdict_of(result_category: str | None, result_detail: str | None = None) -> Verdict | None:
    """Return what a finished answer with these words means."""
    return judge(Category.PHISHING, "succeeded", result_category, result_detail).verdict


def test_every_word_is_mapped() -> None:
    """All 28 categories and 71 details are in the tables, spelt as Microsoft spells them, and nothing else."""
    assert (len(RESULT_CATEGORIES), len(RESULT_DETAILS)) == (28, 71)
    assert set(CATEGORIES) == set(RESULT_CATEGORIES)
    assert set(DETAILS) == set(RESULT_DETAILS)


@pytest.mark.parametrize(
    ("category", "detail", "verdict"),
    [
        ("threatsFound", None, Verdict.MALICIOUS),
        ("noThreatsFound", "none", Verdict.CLEAN),
        ("phishing", "", Verdict.MALICIOUS),
        ("malware", None, Verdict.MALICIOUS),
        ("notJunk", None, Verdict.CLEAN),
        ("spam", "itemFoundSpam", Verdict.SPAM),
        ("bulk", None, Verdict.BULK),
        ("spoofedAllowed", None, Verdict.SPOOF),
        ("brandImpersonation", None, Verdict.IMPERSONATION),
        ("authenticationFailure", None, Verdict.AUTHENTICATION_FAILURE),
        ("phishingSimulation", None, Verdict.SIMULATION),
        ("itemNotfound", None, Verdict.NOT_FOUND),
        ("notSubmittedToMicrosoft", "checkUserReportedSettings", Verdict.NOT_RECEIVED),
        ("noResultAvailable", None, Verdict.UNDETERMINED),
        ("noResultAvailable", "itemNotReceivedByService", Verdict.NOT_RECEIVED),
        ("unknown", "unableToMakeDecision", Verdict.UNDETERMINED),
        (None, "goodReclassifiedAsBad", Verdict.MALICIOUS),
        (None, "badReclassifiedAsGood", Verdict.CLEAN),
        (None, "badReclassifiedAsBulk", Verdict.BULK),
        (None, "messageNotFound", Verdict.NOT_FOUND),
    ],
)
def test_a_finished_answer_has_its_verdict(category: str | None, detail: str | None, verdict: Verdict) -> None:
    """Each kind of result arrives at its verdict, from the category, the detail or both."""
    assert verdict_of(category, detail) is verdict


def test_a_detail_explains_an_older_category() -> None:
    """Where the category is only the filter's general view, the override that caused it is the verdict."""
    assert verdict_of("notJunk", "allowedByTenant") is Verdict.ALLOWED_BY_OVERRIDE
    assert verdict_of("phishing", "blockedByUserSetting") is Verdict.BLOCKED_BY_OVERRIDE
    assert verdict_of("spam", "partOfEducationCampaign") is Verdict.SIMULATION


def test_the_portals_result_stands_against_a_detail() -> None:
    """What the portal shows as the result is the verdict; how the mail got in does not change what it is."""
    assert verdict_of("threatsFound", "allowedByTenant") is Verdict.MALICIOUS
    assert verdict_of("noThreatsFound", "blockedByConnection") is Verdict.CLEAN


@pytest.mark.parametrize("detail", ["invalidFalsePositive", "invalidFalseNegative"])
@pytest.mark.parametrize("category", [None, "notJunk", "blockedByPolicy", "threatsFound", "brandNew"])
def test_a_pointless_claim_is_named(category: str | None, detail: str) -> None:
    """A claim against what the filter already did is `wrong_direction`, whatever the category says."""
    assert verdict_of(category, detail) is Verdict.WRONG_DIRECTION


@pytest.mark.parametrize(
    ("status", "category", "detail"),
    [
        ("notStarted", None, None),
        ("running", None, "underInvestigation"),
        ("running", "threatsFound", None),
        ("running", "unknownFutureValue", None),
        ("succeeded", None, None),
        ("succeeded", "", "none"),
        ("succeeded", "beingAnalyzed", None),
        ("succeeded", "threatsFound", "underInvestigation"),
        ("succeeded", None, "willNotifyOnceDone"),
        (None, None, None),
        (None, "brandNew", None),
        ("brandNew", None, None),
    ],
)
def test_what_may_still_change_is_not_final(status: str | None, category: str | None, detail: str | None) -> None:
    """While Microsoft works, or has said nothing, there is no verdict and no agreement."""
    judgement = judge(Category.SPAM, status, category, detail)
    assert (judgement.is_final, judgement.verdict, judgement.agreement) == (False, None, None)


@pytest.mark.parametrize("status", ["failed", "skipped"])
@pytest.mark.parametrize(("category", "detail"), [(None, None), ("beingAnalyzed", None), (None, "underInvestigation")])
def test_giving_up_is_final(status: str, category: str | None, detail: str | None) -> None:
    """Nobody works on a failed or skipped submission: it is undetermined even where a word says otherwise."""
    judgement = judge(Category.PHISHING, status, category, detail)
    assert (judgement.is_final, judgement.verdict) == (True, Verdict.UNDETERMINED)


def test_giving_up_keeps_a_result() -> None:
    """A failed submission that has a result all the same has that verdict."""
    assert judge(Category.PHISHING, "failed", "itemNotfound", None).verdict is Verdict.NOT_FOUND


@pytest.mark.parametrize("word", ["unknownFutureValue", "threatsFoundByMoon"])
def test_an_unknown_word_is_undetermined_and_counted(word: str) -> None:
    """Waiting does not make a word known: the row is final, undetermined, and the word is reported as unknown."""
    judgement = judge(Category.PHISHING, "succeeded", word, None)
    assert (judgement.is_final, judgement.verdict, judgement.is_known) == (True, Verdict.UNDETERMINED, False)
    assert not judge(Category.PHISHING, "succeeded", None, word).is_known
    assert not judge(Category.PHISHING, word, "bulk", None).is_known


def test_a_known_word_beside_an_unknown_one_decides() -> None:
    """Half an answer that is understood is used; the other half is still counted."""
    judgement = judge(Category.PHISHING, "succeeded", "unknownFutureValue", "itemFoundMalicious")
    assert (judgement.verdict, judgement.is_known) == (Verdict.MALICIOUS, False)


@pytest.mark.parametrize(
    ("verdict", "phishing", "malware", "spam", "not_junk"),
    [
        (Verdict.MALICIOUS, "confirmed", "confirmed", "confirmed", "refuted"),
        (Verdict.SPAM, "confirmed", "confirmed", "confirmed", "refuted"),
        (Verdict.BULK, "refuted", "refuted", "confirmed", "undecided"),
        (Verdict.CLEAN, "refuted", "refuted", "refuted", "confirmed"),
        (Verdict.SPOOF, "confirmed", "confirmed", "confirmed", "undecided"),
        (Verdict.IMPERSONATION, "confirmed", "confirmed", "confirmed", "undecided"),
        (Verdict.AUTHENTICATION_FAILURE, "undecided", "undecided", "undecided", "undecided"),
        (Verdict.ALLOWED_BY_OVERRIDE, "undecided", "undecided", "undecided", "undecided"),
        (Verdict.BLOCKED_BY_OVERRIDE, "undecided", "undecided", "undecided", "undecided"),
        (Verdict.SIMULATION, "undecided", "undecided", "undecided", "undecided"),
        (Verdict.NOT_FOUND, "undecided", "undecided", "undecided", "undecided"),
        (Verdict.NOT_RECEIVED, "undecided", "undecided", "undecided", "undecided"),
        (Verdict.WRONG_DIRECTION, "undecided", "undecided", "undecided", "undecided"),
        (Verdict.UNDETERMINED, "undecided", "undecided", "undecided", "undecided"),
    ],
)
def test_the_claim_is_weighed(verdict: Verdict, phishing: str, malware: str, spam: str, not_junk: str) -> None:
    """Whether the claim was right follows from claim and verdict alone, and every pair is decided here."""
    agreements = [agreement_of(claim, verdict) for claim in Category]
    assert list(Category) == [Category.PHISHING, Category.MALWARE, Category.SPAM, Category.NOT_JUNK]
    assert agreements == [Agreement(phishing), Agreement(malware), Agreement(spam), Agreement(not_junk)]


@given(claim=claims, status=statuses, category=categories, detail=details)
def test_every_answer_is_judged(claim: Category, status: str | None, category: str | None, detail: str | None) -> None:
    """Any combination of words has a judgement, final exactly when it has both verdict and agreement."""
    judgement = judge(claim, status, category, detail)
    assert judgement.is_final == (judgement.verdict is not None) == (judgement.agreement is not None)
    if judgement.verdict is not None:
        assert judgement.agreement is agreement_of(claim, judgement.verdict)


@given(status=statuses, category=categories, detail=details)
def test_the_claim_does_not_sway_the_verdict(status: str | None, category: str | None, detail: str | None) -> None:
    """The verdict is Microsoft's: it is the same whatever was claimed."""
    assert len({judge(claim, status, category, detail).verdict for claim in Category}) == 1


@given(claim=claims, category=categories, detail=details)
def test_what_is_final_stays_final_when_finished(claim: Category, category: str | None, detail: str | None) -> None:
    """An answer that is final without a status is the same answer once Microsoft says that it has finished."""
    early = judge(claim, None, category, detail)
    if early.is_final:
        assert judge(claim, "succeeded", category, detail) == early
