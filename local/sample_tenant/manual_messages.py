"""Operators' messages for the queue `manual-submissions`, right and wrong, each with the row it must end in.

The rules are those of the contract, section 3. What a message refers to comes with it: blobs for the container
`submission-content`, and mails that `populate` has put into the people's mailboxes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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


def _settled(
    name: str, request: Mapping[str, object], verdict: Verdict, blobs: Mapping[str, bytes] = MappingProxyType({})
) -> SampleManualMessage:
    return SampleManualMessage(
        name=name,
        body=json.dumps(request),
        blobs=blobs,
        expected_state=State.SETTLED,
        expected_verdict=verdict,
    )


def _urls() -> list[SampleManualMessage]:
    urgent = _request("url", "phishing", url=_SIGN_IN_URL, priority="urgent", reason="two people typed a password")
    harmless = _request("url", "notJunk", url=_FORM_URL, priority="low")
    plain = _settled("base64-of-json", _request("url", "phishing", url=_ENCODED_URL), Verdict.SPAM)
    return [
        _settled("url-urgent", urgent, Verdict.MALICIOUS),
        _settled("url-not-junk", harmless, Verdict.CLEAN),
        replace(plain, body=base64.b64encode(plain.body.encode()).decode()),
    ]


def _file() -> SampleManualMessage:
    blob_name = "voicemail/player.htm"
    request = _request("file", "malware", file={"name": _FILE_NAME, "content": blob_name})
    content = b"<!doctype html>\n<p>Harmless stand-in for the attachment of a voicemail lure.</p>\n"
    return _settled("file-malware", request, Verdict.MALICIOUS, {blob_name: content})


def _emails(now: datetime, message_ids: Mapping[str, str]) -> list[SampleManualMessage]:
    internet_id = read_facts(read_original("dating-safe-sender", now)).internet_message_id
    by_internet_id = {"mailbox": BEN, "internetMessageId": internet_id}
    by_id = {"mailbox": BEN, "messageId": message_ids["internal-survey"]}
    return [
        _email_by_content(now),
        _settled(
            "email-by-internet-message-id",
            _request("email", "spam", recipient=BEN, message=by_internet_id),
            Verdict.ALLOWED_BY_OVERRIDE,
        ),
        _settled(
            "email-by-message-id",
            _request("email", "phishing", recipient=BEN, message=by_id),
            Verdict.UNDETERMINED,
        ),
    ]


def _email_by_content(now: datetime) -> SampleManualMessage:
    """A request with everything that a request may have."""
    blob_name, expires_at = "cases/4711/notice.eml", now + timedelta(days=20)
    request = _request(
        "email",
        "phishing",
        requestId="case-4711",
        priority="normal",
        reason="reported by phone",
        recipient=LAYLA,
        message={"content": blob_name},
        allowOrBlock={
            "action": "block",
            "expiresAt": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "note": "case-4711",
        },
    )
    content = read_original("logistics-notice-not-received", now)
    return _settled("email-by-content", request, Verdict.NOT_RECEIVED, {blob_name: content})


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
        _settled("request-id", request, Verdict.MALICIOUS),
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
