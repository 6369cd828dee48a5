"""What `reading` runs in each build: reads every mail of a folder and prints the processor time of a mail, as JSON.

`python mail_reader.py FOLDER STEP...`. It is run as text in the folder of a build, so it uses of the product only what
every build since ee17614 has.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from shared.domain.model import Category
from shared.domain.originals import OriginalFacts, read_original
from shared.domain.tenant import Tenant
from shared.formats.mail_fingerprint import mail_fingerprint
from shared.formats.mime_parts import walk

ROUNDS = 5
REPORTER = "anna.berg@contoso.example"
TENANT = Tenant("tenant", frozenset({"contoso.example"}), frozenset({"reports@contoso.example"}))


def parts(mime: bytes) -> None:
    """Read the headers, and decode every part."""
    read_original(mime, tenant=TENANT, reporter=REPORTER)
    for part in walk(mime):
        part.content()


def fingerprint(mime: bytes) -> None:
    """Read all that a campaign is known by."""
    facts = read_original(mime, tenant=TENANT, reporter=REPORTER)
    if isinstance(facts, OriginalFacts):
        mail_fingerprint(Category.PHISHING, facts, mime)


STEPS = {"parts": parts, "fingerprint": fingerprint}


def main(folder: str, *steps: str) -> None:
    """Print the least that a mail takes, in ms, by step; the first round only warms up."""
    mails = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    print(json.dumps({step: min(_took_ms(step, mails) for _ in range(ROUNDS)) for step in steps}))


def _took_ms(step: str, mails: list[bytes]) -> float:
    began_s = time.thread_time()
    for mime in mails:
        STEPS[step](mime)
    return 1000 * (time.thread_time() - began_s) / len(mails)


if __name__ == "__main__":
    main(*sys.argv[1:])
