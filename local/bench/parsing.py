"""Reading mail: how many originals a second one processor reads, and what the import of the parser costs a cold start.

Read is all that the app reads of a report's attachment: the original in it, its facts, what Exchange says of its
sender, its content and the fingerprint that joins it to a campaign. The mails are real ones where there is a folder of
them, else the sample tenant's. Judged are processor time, and for the import, which is short, the best of several.
"""

from __future__ import annotations

import asyncio
import email
import os
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from local.bench.cold_start import APP, FIRST_PARTS, WHOLE_APP, import_fresh
from local.bench.figures import Figure, Target
from local.bench.stand_ins import ROOT
from local.sample_tenant import DOMAINS, ORIGINALS, PEOPLE, REPORTING_MAILBOX, TENANT_ID, read_original
from shared.domain import originals
from shared.domain.model import Category
from shared.domain.originals import Opened, OriginalFacts
from shared.domain.tenant import Tenant
from shared.formats.mail_fingerprint import mail_fingerprint
from shared.formats.original import open_original

PARSER = ("shared.formats.original", "shared.formats.mail_content", "shared.formats.mail_fingerprint")
"""What the first mail makes the app import; formats that are rare come later, with the first of their kind."""
REST_OF_APP = (*FIRST_PARTS, *(name for name in WHOLE_APP if name not in APP))
"""`function_app` itself would want settings; it adds nothing to these."""
INTERPRETERS = 9
ROUNDS = 5
AT_LEAST = Target(">=", 200)
AT_MOST_MS = Target("<=", 30)

_TENANT = Tenant(TENANT_ID, frozenset(DOMAINS), frozenset({REPORTING_MAILBOX}))
_WRITTEN = datetime(2026, 11, 23, tzinfo=UTC)


async def measure(rounds: int = ROUNDS, interpreters: int = INTERPRETERS) -> list[Figure]:
    """Mails a second, and the import."""
    return [await asyncio.to_thread(_measure_reading, rounds), await _measure_import(interpreters)]


def read_mail(content: bytes) -> bool:
    """All that collect reads of an attachment; whether it was a mail."""
    opened = open_original(content, _TENANT)
    if not isinstance(opened, Opened):
        return False
    facts = originals.read_original(opened.mime, tenant=_TENANT, reporter=PEOPLE[0])
    if isinstance(facts, OriginalFacts):
        mail_fingerprint(Category.PHISHING, facts, opened.mime)
    return isinstance(facts, OriginalFacts)


def _measure_reading(rounds: int) -> Figure:
    contents, source = mails()
    unread = sum(not read_mail(content) for content in contents)
    if unread:
        raise RuntimeError(f"{unread} of {len(contents)} mails could not be read")
    ours, stdlib = [], []
    for _ in range(rounds):
        ours.append(_rate(read_mail, contents))
        stdlib.append(_rate(email.message_from_bytes, contents))
    size_kb = statistics.mean(map(len, contents)) / 1000
    note = f"median of {rounds}; {len(contents)} {source} of {size_kb:.0f} KB; email.message_from_bytes alone"
    return Figure(
        name="mails read",
        value=statistics.median(ours),
        unit="mails/s of processor time",
        target=AT_LEAST,
        note=f"{note}: {statistics.median(stdlib):,.0f}",
    )


def mails() -> tuple[Sequence[bytes], str]:
    """The mails to read, and which ones they are."""
    folder = Path(os.environ.get("REPORTED_MAIL_DIR", ROOT.parent / "shared" / "data" / "reported-mail"))
    real = [path.read_bytes() for path in sorted(folder.glob("*.eml"))]
    return (real, "real mails") if real else ([read_original(one.name, _WRITTEN) for one in ORIGINALS], "sample mails")


def _rate(read: Callable[[bytes], object], mails: Sequence[bytes]) -> float:
    began_s = time.thread_time()
    for content in mails:
        read(content)
    return len(mails) / (time.thread_time() - began_s)


async def _measure_import(interpreters: int) -> Figure:
    """The best of several: an import can be held up, never hurried."""
    await import_fresh(PARSER, {}, after=REST_OF_APP)  # writes what byte code is missing
    told = [await import_fresh(PARSER, {}, after=REST_OF_APP) for _ in range(interpreters)]
    return Figure(
        name="import of the parser after the rest of the app",
        value=1000 * min(one.wall_s for one in told),
        unit="ms",
        target=AT_MOST_MS,
        note=f"best of {interpreters}; {told[0].modules - told[0].there} modules beside {told[0].there:,}",
    )
