"""The pages for people name only what exists, leave nothing out, and their examples work."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.bootstrap import CONTAINERS, FEEDBACK_CONTAINERS, FEEDBACK_QUEUES, QUEUES, TABLES
from shared.codecs.manual_message import RESERVED_NAMES, read_manual_message
from shared.domain.lifecycle import FINAL_STATES, FIRST_STATES, TRANSITIONS, is_final
from shared.domain.model import CoverReason, SkipReason, State
from shared.domain.user_submissions import BORN
from shared.settings import Settings, SettingsError, setting_names
from shared.telemetry import Event

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = "\n".join(file.read_text() for file in sorted((ROOT / "shared").rglob("*.py")))
LOG_COLUMNS = {"Event", "PreviousState", "OutcomePartition", "SubmissionId", "SchemaVersion"}
IN_AZURE = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "SubmissionsStorage__queueServiceUri": "https://data.queue.core.windows.net",
    "SubmissionsStorage__tableServiceUri": "https://data.table.core.windows.net",
    "SubmissionsStorage__blobServiceUri": "https://data.blob.core.windows.net",
    "TENANT_ID": "6b9d2f4e-3c1a-4f7e-9a55-0d1c2e3f4a5b",
    "REPORTING_MAILBOXES": "phish-reports@contoso.example",
    "TENANT_DOMAINS": "contoso.example",
    "COLLECT_SCHEDULE": "0 */2 * * * *",
    "DISPATCH_SCHEDULE": "0 * * * * *",
    "SETTLE_SCHEDULE": "0 */5 * * * *",
}


def page(name: str) -> str:
    """Return the text of a page for people."""
    return (ROOT / "docs" / f"{name}.md").read_text()


def section(name: str, heading: str) -> str:
    """Return a page's text under a heading, up to the next of its rank."""
    rank, _, _ = heading.partition(" ")
    behind = page(name).split(f"\n{heading}\n", 1)[1]
    return re.split(rf"^{rank} ", behind, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the tables in a text, heads left out, code marks off the first cell."""
    for line in text.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            yield cells


def names(cell: str) -> list[str]:
    """Return what a cell shows as code."""
    return re.findall(r"`([^`]+)`", cell)


def blocks(language: str, text: str = README) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings make."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --- All pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Each relative link names a file or folder of the repo, and each anchor a heading of its page."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_and_command_exists(page: Path) -> None:
    """Each file that a page names as code is there, and each `make` target is one of the Makefile's."""
    text = page.read_text()
    named = re.findall(r"`((?:shared|tests|local|docs)/[\w./-]+)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, flags=re.MULTILINE)) <= set(targets)


def test_the_picture_is_whole() -> None:
    """The picture's box is closed: each of its lines crosses the two edges."""
    lines = blocks("")[0].splitlines()
    left, right = lines[0].index("┌"), lines[0].index("┐")
    assert {line[left] for line in lines} == set("┌│┼└")
    assert {line[right] for line in lines} == set("┐│┼┘")


def test_the_front_page_is_short() -> None:
    """Who comes for the first time reads it to its end: what it does, how it looks, and where to go on."""
    assert len(README.split()) <= 1500


# --- What the pages list ------------------------------------------------------------------------------------------


def test_all_functions_are_named() -> None:
    """The seven functions, each by its name, and the setting that pauses one of them."""
    tree = ast.parse((ROOT / "function_app.py").read_text())
    decorated = [node for node in tree.body if isinstance(node, ast.AsyncFunctionDef) and node.decorator_list]
    functions = {node.name for node in decorated if not node.name.startswith("_")}
    assert len(functions) == 7
    pause = section("settings", "## Pause")
    assert functions <= set(names(pause))
    assert set(re.findall(r"AzureWebJobs\.(\w+)\.Disabled", pause)) <= functions


def test_the_settings_are_the_parsers() -> None:
    """Every setting that the parser knows is explained, none is invented, and each default is true."""
    told = {names(name)[0]: default for name, default, _ in rows(section("settings", "## App settings"))}
    assert list(told) == sorted(told, key=list(told).index)
    assert set(told) == set(setting_names())
    settings = Settings.load(IN_AZURE)
    for name, default in told.items():
        without = {key: value for key, value in IN_AZURE.items() if key != name}
        if default == "required":
            with pytest.raises(SettingsError, match=name):
                Settings.load(without)
        elif default == "none":
            assert Settings.load(without) == settings
        else:
            assert names(default) == [str(getattr(settings, name.lower()))]


def test_the_stores_are_the_apps() -> None:
    """Tables, queues and containers to create are those that the app opens, no more and no fewer."""
    listed = re.findall(r"^\| (tables|queues|containers) \| (.+) \|$", page("settings"), flags=re.MULTILINE)
    assert {kind: tuple(names(cell)) for kind, cell in listed} == {
        "tables": TABLES,
        "queues": (*QUEUES, *FEEDBACK_QUEUES),
        "containers": (*CONTAINERS, *FEEDBACK_CONTAINERS),
    }


def test_the_states_are_the_models() -> None:
    """Each state is explained, and called final where it is."""
    told = {names(state)[0]: final for state, final, _ in rows(section("states", "## States"))}
    assert told == {state.value: "yes" if is_final(state) else "no" for state in State}


def test_the_reasons_are_the_ones_in_use() -> None:
    """The tables of skipped and covered reports list the reasons that the code gives, and none that it never gives."""
    told = {names(reason)[0] for reason, _ in rows(section("states", "## Why a report is not submitted"))}
    reasons = [*SkipReason, *CoverReason]
    assert told == {one.value for one in reasons if f"{type(one).__name__}.{one.name}" in SOURCES}


def test_states_with_reasons_exist() -> None:
    """A state named with a reason is one that the code gives."""
    pairs = [pair for page in PAGES for pair in re.findall(r"`([a-z]+)`/`([a-z_]+)`", page.read_text())]
    assert pairs
    assert {state for state, _ in pairs} <= set(State)
    assert [reason for _, reason in pairs if f'"{reason}"' not in SOURCES] == []


def test_the_events_exist() -> None:
    """Each event to look for is one that the app writes."""
    looked_for = re.findall(r"events? `(\w+)`", page("states"))
    assert len(looked_for) >= 4
    assert set(looked_for) <= {event.label for event in Event}


# --- Examples -------------------------------------------------------------------------------------------------------


def test_the_message_examples_are_accepted() -> None:
    """Each example of an operator's message passes every rule; there is one for each way to name something."""
    requests = [
        read_manual_message(body, now=datetime(2026, 12, 1, tzinfo=UTC)) for body in blocks("json", page("requests"))
    ]
    ways = [type(request.message or request.file or request.url or request.reviews).__name__ for request in requests]
    assert ways == ["ContentBlob", "MessageByInternetId", "MessageById", "str", "RequestedFile", "str"]


def test_the_reserved_names_are_named() -> None:
    """Every name that a message must not use is named."""
    other = next(rule for rule in page("requests").splitlines() if rule.startswith("| other names"))
    assert {name.lower() for name in names(other)} == RESERVED_NAMES


# --- The architecture page ------------------------------------------------------------------------------------------


def test_the_state_diagram_is_the_table() -> None:
    """The picture of a row's life has the steps of `TRANSITIONS`, first and final states included."""
    drawn = re.findall(r"^ +(\S+) --> (\S+)$", blocks("mermaid", ARCHITECTURE)[0], flags=re.MULTILINE)
    steps = {(before.value, after.value) for before, afters in TRANSITIONS.items() for after in afters}
    births = {("[*]", state.value) for state in FIRST_STATES | BORN}
    ends = {(state.value, "[*]") for state in FINAL_STATES}
    assert set(drawn) == steps | births | ends
    assert len(drawn) == len(set(drawn))
