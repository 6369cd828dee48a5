"""The enum values of threat submissions, in their exact wire case, and which of them a plain client never sees.

Source: the metadata of microsoft.graph.security (beta, August 2026) and the pages of submissionResult and
submissionAdminReview. Values after the sentinel `unknownFutureValue` are sent only to clients that ask for them with
`Prefer: include-unknown-enum-members`; the pages say so for categories, the rule for evolvable enums for the rest.
"""


def _split(words: str) -> frozenset[str]:
    return frozenset(words.split())


SENTINEL = "unknownFutureValue"

CATEGORIES = frozenset({"notJunk", "spam", "phishing", "malware"})
SOURCES = frozenset({"user", "administrator"})
STATUSES = frozenset({"notStarted", "running", "succeeded", "failed", "skipped"})

# The review action has words of its own, taken in any case, where submissions say notJunk and spam.
REVIEW_CATEGORIES = {"notspam": "notJunk", "junk": "spam", "phishing": "phishing", "malware": "malware"}

LATE_RESULT_CATEGORIES = _split("""
    beingAnalyzed notSubmittedToMicrosoft phishingSimulation allowedDueToOrganizationOverride
    blockedDueToOrganizationOverride allowedDueToUserOverride blockedDueToUserOverride itemNotfound threatsFound
    noThreatsFound domainImpersonation userImpersonation brandImpersonation authenticationFailure spoofedBlocked
    spoofedAllowed reasonLostInTransit bulk
""")
RESULT_CATEGORIES = LATE_RESULT_CATEGORIES | _split("""
    notJunk spam phishing malware allowedByPolicy blockedByPolicy spoof unknown noResultAvailable unknownFutureValue
""")

LATE_RESULT_DETAILS = _split("""
    willNotifyOnceDone checkUserReportedSettings partOfEducationCampaign allowedByAdvancedDelivery
    allowedByEnhancedFiltering itemDeleted itemFoundClean itemFoundMalicious unableToMakeDecision
    domainResembledYourOrganization endUserBeingImpersonated associatedWithBrand senderFailedAuthentication
    endUserBeingSpoofed itemFoundBulk itemNotReceivedByService itemFoundSpam
""")
RESULT_DETAILS = LATE_RESULT_DETAILS | _split("""
    none underInvestigation simulatedThreat allowedBySecOps allowedByThirdPartyFilters messageNotFound
    urlFileShouldNotBeBlocked urlFileShouldBeBlocked urlFileCannotMakeDecision domainImpersonation userImpersonation
    brandImpersonation outboundShouldNotBeBlocked outboundShouldBeBlocked outboundBulk outboundCannotMakeDecision
    outboundNotRescanned zeroHourAutoPurgeAllowed zeroHourAutoPurgeBlocked zeroHourAutoPurgeQuarantineReleased
    onPremisesSkip allowedByTenantAllowBlockList blockedByTenantAllowBlockList allowedUrlByTenantAllowBlockList
    allowedFileByTenantAllowBlockList allowedSenderByTenantAllowBlockList allowedRecipientByTenantAllowBlockList
    blockedUrlByTenantAllowBlockList blockedFileByTenantAllowBlockList blockedSenderByTenantAllowBlockList
    blockedRecipientByTenantAllowBlockList allowedByConnection blockedByConnection allowedByExchangeTransportRule
    blockedByExchangeTransportRule quarantineReleased quarantineReleasedThenBlocked junkMailRuleDisabled
    allowedByUserSetting blockedByUserSetting allowedByTenant blockedByTenant invalidFalsePositive invalidFalseNegative
    spoofBlocked goodReclassifiedAsBad goodReclassifiedAsBulk goodReclassifiedAsGood
    goodReclassifiedAsCannotMakeDecision badReclassifiedAsGood badReclassifiedAsBulk badReclassifiedAsBad
    badReclassifiedAsCannotMakeDecision unknownFutureValue
""")
