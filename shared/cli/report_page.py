"""A report as one HTML file: it opens offline, loads nothing, runs nothing, and prints.

The invariant: whatever rows hold stands there as text. The page's own policy (Content-Security-Policy) admits its one
style sheet, by its hash, and nothing else: no script, no image, no font, no request.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from xml.etree.ElementTree import Element

from ..domain.regularity import RECOMMENDATION, Regular
from .report_counts import Period, begin_of, right_percent
from .report_markup import Series, add, bar_of, cells, element, legend, lines_of_seconds, stacked, written
from .report_reading import Figures
from .report_records import Line, group_lines, hint_text, period_lines, total

MOST_ROWS: Final = 15
"""Groups in a table."""
_VERDICT_TONES: Final = {Regular.PASS: "pass", Regular.FAIL: "fail", Regular.NOT_YET: "not-yet"}
_DAY_TONES: Final = (
    ("something was submitted", "submitted"),
    ("nothing was due", "covered"),
    ("due, and nothing submitted", "failed"),
    ("no report", "none"),
)
_FATES: Final = (
    ("submitted", "Submitted", "submitted"),
    ("covered by another", "Covered", "covered"),
    ("skipped", "Skipped", "skipped"),
    ("rejected", "Rejected", "rejected"),
    ("failed", "Failed", "failed"),
)
_AGREEMENTS: Final = (
    ("confirmed", "Confirmed", "confirmed"),
    ("refuted", "Refuted", "refuted"),
    ("undecided", "Undecided", "undecided"),
)
_NOT_SUBMITTED: Final = ("skipped", "rejected", "failed", "covered", "pending", "dispatched", "submitting", "uncertain")
_STYLE: Final = """
:root{color-scheme:light dark;--back:#fff;--card:#f4f6f8;--ink:#1b1f24;--soft:#57606a;--rule:#d0d7de;
--submitted:#0b6bb8;--covered:#74b9ea;--skipped:#9aa4ae;--rejected:#e0a100;--failed:#d1431b;--confirmed:#16825d;
--refuted:#b8508f;--undecided:#9aa4ae;--none:#e3e7eb;--p95:#e0a100}
@media screen and (prefers-color-scheme:dark){:root{--back:#0f1419;--card:#1a2129;--ink:#e6edf3;--soft:#9aa7b4;
--rule:#313a44;--submitted:#4ea3e8;--covered:#2f6690;--skipped:#6b7682;--failed:#f0704a;--confirmed:#3fb489;
--refuted:#dd84b9;--undecided:#6b7682;--none:#222b34}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1000px;padding:24px 20px;background:var(--back);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:24px;margin:0}h2{font-size:17px;margin:32px 0 8px}p{margin:6px 0}.soft{color:var(--soft)}
.verdict{background:var(--card);border-left:6px solid var(--soft);padding:12px 16px;margin:16px 0;border-radius:4px}
.verdict strong{font-size:22px;display:block}.pass{border-color:var(--confirmed)}.fail{border-color:var(--failed)}
.not-yet{border-color:var(--rejected)}.pass strong{color:var(--confirmed)}.fail strong{color:var(--failed)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:10px}
.tile{background:var(--card);padding:10px 14px;border-radius:4px}.tile b{display:block;font-size:22px}
figure{margin:0}.wide{overflow-x:auto}.wide svg{display:block;width:100%;min-width:560px;height:auto}
.days{display:block;max-width:100%;height:auto}
.grid{stroke:var(--rule);stroke-width:1}text{fill:var(--soft);font-size:11px}
.mark{text-anchor:end;dominant-baseline:middle}.name{text-anchor:middle}
.line{fill:none!important;stroke-width:1.5}.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px}
.key{width:10px;height:10px;margin-right:6px}.bar{width:160px;height:12px;display:block}
table{border-collapse:collapse;width:100%;font-size:14px}.scroll{overflow-x:auto}
th,td{padding:4px 10px 4px 0;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th{color:var(--soft);font-weight:600;font-size:12px}
th:first-child,td:first-child{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:130px}
li{margin:4px 0;overflow-wrap:anywhere}
.submitted{fill:var(--submitted);stroke:var(--submitted)}.covered{fill:var(--covered);stroke:var(--covered)}
.skipped{fill:var(--skipped);stroke:var(--skipped)}.rejected{fill:var(--rejected);stroke:var(--rejected)}
.failed{fill:var(--failed);stroke:var(--failed)}.confirmed{fill:var(--confirmed);stroke:var(--confirmed)}
.refuted{fill:var(--refuted);stroke:var(--refuted)}.undecided{fill:var(--undecided);stroke:var(--undecided)}
.none{fill:var(--none);stroke:var(--none)}.p95{fill:var(--p95);stroke:var(--p95)}
rect{stroke-width:0}
@media print{@page{margin:14mm}body{max-width:none;padding:0;font-size:12px}h2{break-after:avoid}
figure,tr,.verdict,.tile,li{break-inside:avoid}.wide svg{min-width:0}.scroll,.wide{overflow:visible}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""


def page(figures: Figures, period: Period, names: Mapping[str, str], made_at: datetime) -> str:
    """The whole page; figures without rows have no tables of groups."""
    body = element("body", *_head(figures, period, made_at))
    for title, *parts in _sections(figures, period, names):
        add(body, element("section", element("h2", title), *parts))
    return written(element("html", _page_head(figures), body, lang="en"))


def _page_head(figures: Figures) -> Element:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    style = Element("style")
    style.text = _STYLE
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"Submissions to Microsoft Defender, {_span(figures)}"),
        style,
    )


def _head(figures: Figures, period: Period, made_at: datetime) -> Iterator[Element]:
    verdict = figures.regularity.verdict
    yield element("h1", "Submissions to Microsoft Defender")
    yield element("p", f"{_span(figures)}, by {period}; made {made_at:%Y-%m-%d %H:%M} UTC.", class_="soft")
    yield element(
        "div",
        element("span", "Do we submit regularly?"),
        element("strong", verdict.value),
        element("p", figures.regularity.reason),
        element("p", RECOMMENDATION, class_="soft"),
        class_=f"verdict {_VERDICT_TONES[verdict]}",
    )
    yield element("div", *(_tile(told, figure) for told, figure in _tiles(figures)), class_="tiles")


def _tiles(figures: Figures) -> Iterator[tuple[str, str]]:
    counts = total(figures)
    right = right_percent(counts)
    yield "received", f"{counts['Received']:,}"
    yield "submitted", f"{counts['Submitted']:,}"
    yield "covered by another", f"{counts['Covered']:,}"
    yield "of decided claims right", "-" if right is None else f"{right} %"
    yield "undecided", f"{counts['Undecided']:,}"
    yield "failed", f"{counts['Failed']:,}"


def _tile(told: str, figure: str) -> Element:
    return element("div", element("b", figure), told, class_="tile")


def _sections(figures: Figures, period: Period, names: Mapping[str, str]) -> Iterator[tuple[str | Element, ...]]:
    over_time = period_lines(figures, period)
    labels = [str(line["Name"]) for line in over_time]
    yield "Volume", stacked("Reports by what became of them", labels, _series(_FATES, over_time))
    yield "Regularity, day by day", *_regularity(figures)
    if figures.hints:
        yield "Look at", element("ul", *(element("li", hint_text(hint, names)) for hint in figures.hints))
    yield "Claims and verdicts", *_claims(figures, labels, over_time)
    yield "Time to submit and to verdict", *_times(figures)
    if figures.rows is not None:
        groups = figures.rows.groups
        reasons = [line for line in group_lines(groups["reason"], {}) if _is_unsubmitted(str(line["Name"]))]
        yield "Not submitted, and why", _group_table("state and reason", reasons)
        campaigns = [line for line in group_lines(groups["campaign"], {}) if line["Name"] != "(none)"]
        yield "Campaigns", _group_table("campaign", campaigns)
        yield (
            "Reporters, and how often they are right",
            _group_table("reporter", group_lines(groups["reporter"], names)),
        )
        caught = group_lines(figures.rows.caught_domains, {})
        yield "Claimed as false positives, by sender domain", _group_table("sender domain", caught)
    yield f"Figures by {period}", _table([period, *_COLUMNS], [_cells(line) for line in over_time])


def _series(kinds: Sequence[tuple[str, str, str]], over_time: Sequence[Line]) -> list[Series]:
    return [Series(name, tone, [line[column] for line in over_time]) for name, column, tone in kinds]


# --- regularity -----------------------------------------------------------------------------------------------------


def _regularity(figures: Figures) -> Iterator[Element]:
    first_week = begin_of(figures.first, "week")
    days = [figures.first + timedelta(days=number) for number in range((figures.last - figures.first).days + 1)]
    squares = [(*_told_of(figures, day), (day - first_week).days // 7, day.weekday()) for day in days]
    yield element(
        "div",
        cells(
            "A square for each day, Monday on top",
            [(told, week, weekday, tone) for told, tone, week, weekday in squares],
        ),
    )
    yield legend(_DAY_TONES)


def _told_of(figures: Figures, day: date) -> tuple[str, str]:
    counts = figures.days.get(day, {})
    received, submitted = counts.get("Received", 0), counts.get("Submitted", 0)
    is_due = received > counts.get("Skipped", 0) + counts.get("Covered", 0)
    tone = "none" if not received else "submitted" if submitted else "failed" if is_due else "covered"
    return f"{day.isoformat()}: {received:,} received, {submitted:,} submitted", tone


# --- claims, times --------------------------------------------------------------------------------------------------


def _claims(figures: Figures, labels: Sequence[str], over_time: Sequence[Line]) -> Iterator[Element]:
    counts = total(figures)
    right = right_percent(counts)
    decided = counts["Confirmed"] + counts["Refuted"]
    said = f"{right} % of {decided:,} decided claims were right" if decided else "Nothing is decided yet"
    beside = f"; beside them {counts['Undecided']:,} are undecided and {counts['Expired']:,} had no verdict in time."
    yield element("p", said + beside)
    yield stacked("Claims by what Microsoft decided", labels, _series(_AGREEMENTS, over_time))
    if figures.rows is not None:
        yield _group_table("claim", group_lines(figures.rows.groups["category"], {}))


def _times(figures: Figures) -> Iterator[Element]:
    yield element("p", "Counted from when a report came in, told of each day: medians of days cannot be added up.")
    days = [figures.first + timedelta(days=number) for number in range((figures.last - figures.first).days + 1)]
    labels = [day.isoformat() for day in days]
    for title, column in (("To submit", "SecondsToSubmit"), ("To verdict", "SecondsToVerdict")):
        series = [
            Series(name, tone, [figures.days.get(day, {}).get(f"{column}{suffix}") for day in days])
            for name, suffix, tone in (("median", "Median", "submitted"), ("95th percentile", "P95", "p95"))
        ]
        yield element("h3", title)
        yield lines_of_seconds(f"{title}, median and 95th percentile of each day", labels, series)


# --- tables ---------------------------------------------------------------------------------------------------------

_COLUMNS: Final = (
    "received",
    "submitted",
    "covered",
    "skipped",
    "failed",
    "confirmed",
    "refuted",
    "undecided",
    "right",
)


def _is_unsubmitted(reason: str) -> bool:
    return reason.partition(":")[0] in _NOT_SUBMITTED


def _group_table(what: str, found: Sequence[Line]) -> Element:
    """A row for each of the largest groups, with a bar of what was decided of it."""
    if not found:
        return element("p", "None.", class_="soft")
    most = found[0]["Received"]
    head = [what, "", "received", "submitted", "confirmed", "refuted", "undecided", "right"]
    rows: list[list[str | Element]] = [
        [str(line["Name"]), bar_of(_parts(line), most), *_figures_of(line, ("Received", "Submitted")), *_decided(line)]
        for line in found[:MOST_ROWS]
    ]
    told = _table(head, rows)
    if len(found) > MOST_ROWS:
        add(told, element("p", f"and {len(found) - MOST_ROWS:,} more", class_="soft"))
    return told


def _parts(line: Line) -> list[tuple[int, str]]:
    decided = [(line[column], tone) for _, column, tone in _AGREEMENTS]
    return [*decided, (line["Received"] - sum(value for value, _ in decided), "none")]


def _cells(line: Line) -> list[str | Element]:
    fates = ("Received", "Submitted", "Covered", "Skipped", "Failed")
    return [str(line["Name"]), *_figures_of(line, fates), *_decided(line)]


def _decided(line: Line) -> list[str]:
    percent = line["RightPercent"]
    return [*_figures_of(line, ("Confirmed", "Refuted", "Undecided")), "" if percent is None else f"{percent:.0f} %"]


def _figures_of(line: Line, columns: Sequence[str]) -> list[str]:
    return [f"{line[column]:,}" for column in columns]


def _table(head: Sequence[str], rows: Sequence[Sequence[str | Element]]) -> Element:
    top = element("thead", element("tr", *(element("th", name, scope="col") for name in head)))
    body = element("tbody", *(element("tr", *(element("td", cell) for cell in row)) for row in rows))
    return element("div", element("table", top, body), class_="scroll")


def _span(figures: Figures) -> str:
    return f"{figures.first.isoformat()} to {figures.last.isoformat()}, UTC"
