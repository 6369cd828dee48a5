"""The mails that the sample tenant's people received, as Exchange Online would have delivered them.

They lie in `originals/` as `.eml` files written for this project about companies that do not exist. Each says in two
headers what the simulator will answer: `X-Sample-Verdict: <result category>/<result detail>` and
`X-Sample-Verdict-Delay-S: <seconds>`. All are dated on one day, which `read_original` moves to the day before the first
report: no original is younger than its report or too old for Microsoft.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime
from importlib import resources

from local.sample_tenant.directory import (
    ACCOUNTS,
    ANNA,
    BEN,
    CARLA,
    CLAIRE,
    DAVID,
    ELIF,
    FELIX,
    GRACE,
    HARUTO,
    LAYLA,
    PAYROLL,
)
from shared.domain.model import Verdict

REPORTED_OVER = timedelta(hours=3)
"""How long before `now` the first report arrives."""

_WRITTEN_ON = date(2026, 11, 16)


@dataclass(frozen=True, slots=True)
class Original:
    """One mail of the collection: whose mailbox it reached and what Microsoft will find."""

    name: str
    recipient: str
    verdict: Verdict


ORIGINALS = (
    Original("arabic-account-warning", LAYLA, Verdict.MALICIOUS),
    Original("awareness-training-simulation", GRACE, Verdict.SIMULATION),
    Original("bank-details-change-invoice", ACCOUNTS, Verdict.IMPERSONATION),
    Original("banque-securite-fr", CLAIRE, Verdict.SPOOF),
    Original("calendar-spam", BEN, Verdict.SPAM),
    Original("card-suspended-ja", HARUTO, Verdict.MALICIOUS),
    Original("charity-appeal-deleted", CLAIRE, Verdict.NOT_FOUND),
    Original("conference-invite-delivered", HARUTO, Verdict.WRONG_DIRECTION),
    Original("crypto-giveaway", BEN, Verdict.SPAM),
    Original("customs-broker-blocked", DAVID, Verdict.BLOCKED_BY_OVERRIDE),
    Original("dating-safe-sender", BEN, Verdict.ALLOWED_BY_OVERRIDE),
    Original("fattura-zip-malware", ACCOUNTS, Verdict.MALICIOUS),
    Original("gb18030-invoice-spam", GRACE, Verdict.SPAM),
    Original("gift-cards-from-director", GRACE, Verdict.SPOOF),
    Original("hybrid-relay-lost-verdict", FELIX, Verdict.UNDETERMINED),
    Original("internal-survey", BEN, Verdict.UNDETERMINED),
    Original("lieferantenrechnung-quarantaene", ELIF, Verdict.CLEAN),
    Original("logistics-notice-not-received", LAYLA, Verdict.NOT_RECEIVED),
    Original("mailbox-quota-credentials", ANNA, Verdict.MALICIOUS),
    Original("meeting-recap-campaign", ANNA, Verdict.MALICIOUS),
    Original("mfa-fatigue-approve", ELIF, Verdict.AUTHENTICATION_FAILURE),
    Original("newsletter-in-junk", DAVID, Verdict.CLEAN),
    Original("parcel-customs-fee-nl", FELIX, Verdict.IMPERSONATION),
    Original("partner-portal-transport-rule", ACCOUNTS, Verdict.ALLOWED_BY_OVERRIDE),
    Original("password-reset-genuine", GRACE, Verdict.CLEAN),
    Original("payroll-account-change", PAYROLL, Verdict.IMPERSONATION),
    Original("qr-code-authenticator", CARLA, Verdict.MALICIOUS),
    Original("shared-document-lure", FELIX, Verdict.MALICIOUS),
    Original("steuererstattung-de", FELIX, Verdict.MALICIOUS),
    Original("supplier-portal-not-junk", DAVID, Verdict.MALICIOUS),
    Original("vaga-de-emprego-golpe", CARLA, Verdict.SPAM),
    Original("voicemail-html-attachment", BEN, Verdict.MALICIOUS),
    Original("webcam-extortion", ANNA, Verdict.MALICIOUS),
    Original("webshop-sale-es", CARLA, Verdict.BULK),
)
"""Every file in `originals/`. Crypto-giveaway was sent to undisclosed recipients; its reporter is the recipient."""

_BY_NAME = {original.name: original for original in ORIGINALS}


def find_original(name: str) -> Original:
    """The collection's entry of that name; KeyError if there is none."""
    return _BY_NAME[name]


def read_original(name: str, now: datetime) -> bytes:
    """The mail's bytes, with every date in its headers moved to the UTC day before the first report.

    Nothing else changes: ids, addresses and line ends are those of the file. `now` is aware UTC.
    """
    delivered_on = (now - REPORTED_OVER - timedelta(days=1)).date()
    written, delivered = _day_in_headers(_WRITTEN_ON), _day_in_headers(delivered_on)
    # The weekday stands only in Date and Received; Exchange's own stamps have the day alone.
    return _read_file(name).replace(written, delivered).replace(written[5:], delivered[5:])


@functools.cache
def _read_file(name: str) -> bytes:
    return (resources.files(__package__) / "originals" / f"{name}.eml").read_bytes()


def _day_in_headers(day: date) -> bytes:
    return format_datetime(datetime.combine(day, time(), UTC))[: len("Mon, 16 Nov 2026")].encode("ascii")
