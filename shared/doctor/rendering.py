"""Findings as people and programs read them.

One line a check, as narrow as a terminal; what to do stands below it. Colour goes to terminals only, and a line says
the same without it.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable
from dataclasses import asdict

from .findings import FAILING, Finding, Mark, is_green

WIDTH = 100
MARK_WIDTH = max(map(len, Mark))
NAME_WIDTH = 18
_MARGIN = MARK_WIDTH + NAME_WIDTH + 4
_COLOURS = {Mark.OK: "32", Mark.WRONG: "1;31", Mark.UNCLEAR: "35", Mark.NOT_TRIED: "33", Mark.LEARNED: "36"}


def line(finding: Finding, *, is_coloured: bool = False) -> str:
    """One finding as text: its line, and below it what to do."""
    head = f"{finding.mark:<{MARK_WIDTH}}  {finding.name:<{NAME_WIDTH}}  "
    lines = _wrapped(head, f"{finding.tried}: {finding.found}")
    if finding.remedy:
        lines += _wrapped(" " * _MARGIN + "-> ", finding.remedy)
    text = "\n".join(lines)
    if not is_coloured:
        return text
    return f"\x1b[{_COLOURS[finding.mark]}m{text[:MARK_WIDTH]}\x1b[0m{text[MARK_WIDTH:]}"


def _wrapped(head: str, text: str) -> list[str]:
    indent = " " * len(head)
    return textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=indent, break_on_hyphens=False) or [head]


def summary(findings: Iterable[Finding]) -> str:
    """The last line: whether the tenant is proven, and if not, how many lines keep it from that."""
    each = list(findings)
    counts = {mark: sum(finding.mark is mark for finding in each) for mark in Mark}
    told = ", ".join(f"{count} {mark}" for mark, count in counts.items() if count)
    verdict = "green" if is_green(each) else "red"
    failing = sum(counts[mark] for mark in FAILING)
    todo = "" if not failing else f"; do what stands behind -> and run it again ({failing} left)"
    return f"{verdict}: {told}{todo}"


def as_json(findings: Iterable[Finding], error: str | None = None) -> str:
    """All findings as one JSON object: `green`, `lines` with a finding's fields, and why they are not all, or null."""
    each = list(findings)
    green = is_green(each) and error is None
    return json.dumps({"green": green, "lines": [asdict(finding) for finding in each], "error": error}, indent=2)
