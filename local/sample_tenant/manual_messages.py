"""Operators' messages for the queue `manual-submissions`, right and wrong, each with the row it must end in.

The rules are those of the contract, section 3. What a message refers to comes with it: blobs for the container
`submission-content`, and mails that `populate` has put into the people's mailboxes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from local.graph_simulator.verdicts import Verdict as SimulatedVerdict
from local.sample_tenant.directory import BEN, DAVID, LAYLA
from local.sample_tenant.originals import read_original
from local.sample_tenant.wrappers import read_facts
from shared.domain.model import State, Verdict

OPERATOR: Final = "soc@contoso.example"

_SIGN_IN_URL = "https://contoso-webmail.login-portal.invalid/auth"
_FORM_URL = "https://forms.survey-tool.example/f/canteen"
_ENCODED_URL = "http://nimbuscoin-airdrop.test/claim/51a9"
_CASE_URL = "https://account-protect.invalid/r/84"
_FILE_NAME = "VM_0041_Ben.Okafor.htm"

SIMULATED_VERDICTS: Final = MappingProxyType(
    {
        _SIGN_IN_URL: SimulatedVerdict("threatsFound", "urlFileShouldBeBlocked", delay_s=2),
        _FORM_URL: SimulatedVerdict("noThreatsFound", "urlFileShouldNotBeBlocked", delay_s=3),
        _ENCODED_URL: SimulatedVerdict("spam", "itemFoundSpam", delay_s=1),
        _CASE_URL: SimulatedVerdict("threatsFound", "urlFileShouldBeBlocked", delay_s=2),
        _FILE_NAME: SimulatedVerdict("malware", "urlFileShouldBeBlocked", delay_s=4),
    }
)
"""What the simulator is to say of the URLs and the file below, which have no headers to say it: `set_verdict` each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleManualMessage:
    """One queue message and how its row must end.

    `body` goes on the queue as it stands, after every blob of `blobs` is in the container `submission-content`, and,
    if `follows` names another message, after that one has its row: the order of two messages on a queue is no promise.
    Without `expected_state` the message makes no row of its own. Without `expected_reason` only the state is promised.
    """

    name: str
    body: str
    expected_state: State | None
    expected_reason: str | None = None
    expected_verdict: Verdict | None = None
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    follows: str | None = None


def sample_manual_messages(now: datetime, message_ids: Mapping[str, str]) -> list[SampleManualMessage]:
    """The messages in the order in which to send them; names are unique.

    `message_ids` is what `populate` returned: the ids of the mails that two of the messages refer to.
    """
    return [*_urls(), _file(), *_emails(now, message_ids), *_broken(), *_repeated()]


def _request(kind: str, category: str, **fields: object) -> dict[str, object]:
    return {"schemaVersion": 1, "kind": kind, "category": category, "requestedBy": OPERATOR, **fields}


def _urls() -> list[SampleManualMessage]:
    urgent = _request("url", "phishing", url=_SIGN_IN_URL, priority="urgent", reason="two people typed a password")
    harmless = _request("url", "notJunk", url=_FORM_URL, priority="low")
    encoded = base64.b64encode(json.dumps(_request("url", "phishing", url=_ENCODED_URL)).encode()).decode()
    return [
        SampleManualMessage(
            name="url-urgent",
            body=json.dumps(urgent),
            expected_state=State.SETTLED,
            expected_verdict=Verdict.MALICIOUS,
        ),
        SampleManualMessage(
            name="url-not-junk",
            body=json.dumps(harmless),
            expected_state=State.SETTLED,
            expected_verdict=Verdict.CLEAN,
        ),
        SampleManualMessage(
            name="base64-of-json", body=encoded, expected_state=State.SETTLED, expected_verdict=Verdict.SPAM
        ),
    ]


def _file() -> SampleManualMessage:
    blob_name = "voicemail/player.htm"
    request = _request("file", "malware", file={"name": _FILE_NAME, "content": blob_name})
    return SampleManualMessage(
        name="file-malware",
        body=json.dumps(request),
        blobs={blob_name: b"<!doctype html>\n<p>Harmless stand-in for the attachment of a voicemail lure.</p>\n"},
        expected_state=State.SETTLED,
        expected_verdict=Verdict.MALICIOUS,
    )


def _emails(now: datetime, message_ids: Mapping[str, str]) -> list[SampleManualMessage]:
    notice = read_original("logistics-notice-not-received", now)
    dating = read_facts(read_original("dating-safe-sender", now))
    blob_name = "cases/4711/notice.eml"
    block = {
        "action": "block",
        "expiresAt": (now + timedelta(days=20)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "note": "case-4711",
    }
    by_content = _request(
        "email", "phishing", recipient=LAYLA, message={"content": blob_name}, requestId="case-4711", allowOrBlock=block
    )
    by_internet_id = _request(
        "email", "spam", recipient=BEN, message={"mailbox": BEN, "internetMessageId": dating.internet_message_id}
    )
    by_id = _request(
        "email", "phishing", recipient=BEN, message={"mailbox": BEN, "messageId": message_ids["internal-survey"]}
    )
    return [
        SampleManualMessage(
            name="email-by-content",
            body=json.dumps(by_content),
            blobs={blob_name: notice},
            expected_state=State.SETTLED,
            expected_verdict=Verdict.NOT_RECEIVED,
        ),
        SampleManualMessage(
            name="email-by-internet-message-id",
            body=json.dumps(by_internet_id),
            expected_state=State.SETTLED,
            expected_verdict=Verdict.ALLOWED_BY_OVERRIDE,
        ),
        SampleManualMessage(
            name="email-by-message-id",
            body=json.dumps(by_id),
            expected_state=State.SETTLED,
            expected_verdict=Verdict.UNDETERMINED,
        ),
    ]


def _broken() -> list[SampleManualMessage]:
    url = _request("url", "phishing", url="https://unsent.invalid/")
    absent = _request("email", "phishing", recipient=DAVID, message={"content": "never/uploaded.eml"})
    rejected = (
        ("not-json", '{"schemaVersion": 1, "kind": "url", "url": https://unsent.invalid/', "not_json"),
        ("unknown-field", json.dumps({**url, "colour": "red"}), "unknown_field"),
        ("reserved-key", json.dumps({**url, "id": "my-own-id"}), "reserved_field"),
        ("reserved-key-of-wrong-form", json.dumps({**url, "expirationTime": "never"}), "reserved_field"),
        ("missing-field", json.dumps({key: value for key, value in url.items() if key != "url"}), "missing_field"),
        ("absent-blob", json.dumps(absent), None),
    )
    return [
        SampleManualMessage(name=name, body=body, expected_state=State.REJECTED, expected_reason=reason)
        for name, body, reason in rejected
    ]


def _repeated() -> list[SampleManualMessage]:
    request = _request("url", "phishing", url=_CASE_URL, requestId="case-4712")
    other = {**request, "url": "https://another-case.invalid/"}
    return [
        SampleManualMessage(
            name="request-id",
            body=json.dumps(request),
            expected_state=State.SETTLED,
            expected_verdict=Verdict.MALICIOUS,
        ),
        SampleManualMessage(
            name="request-id-again", body=json.dumps(request), expected_state=None, follows="request-id"
        ),
        SampleManualMessage(
            name="request-id-with-other-content",
            body=json.dumps(other),
            expected_state=State.REJECTED,
            expected_reason="request_id_conflict",
            follows="request-id",
        ),
    ]
