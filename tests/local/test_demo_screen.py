"""What the demo shows: at 80 columns, as a table on a terminal and as lines elsewhere, nothing taken for markup."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from local.demo.inflow import Inflow
from local.demo.screen import Picture, Progress, draws_live, paint
from local.demo.summary import print_endings, print_examples

ROW = {
    "PartitionKey": "20261123",
    "RowKey": "1",
    "State": "settled",
    "Verdict": "malicious",
    "Agreement": "confirmed",
    "Kind": "email",
    "Direction": "falseNegative",
    "ReceivedAt": datetime(2026, 11, 23, 12, 0, tzinfo=UTC),
    "Subject": "[red]free[/red] " + "z" * 100,
}


@pytest.fixture
def screen() -> io.StringIO:
    """Take what is printed."""
    return io.StringIO()


@pytest.fixture(autouse=True)
def _no_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "CI", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def picture(**counts: int) -> Picture:
    """Return a picture of these rows."""
    return paint(Inflow((), ()), [{"State": state} for state, count in counts.items() for _ in range(count)])


@pytest.mark.parametrize("wish", ["NO_COLOR", "CI"])
def test_only_a_willing_terminal_is_drawn_on(monkeypatch: pytest.MonkeyPatch, screen: io.StringIO, wish: str) -> None:
    """A file gets lines; a terminal gets a live table, unless NO_COLOR or CI is set."""
    terminal = Console(file=screen, force_terminal=True)
    assert not draws_live(Console(file=screen))
    assert draws_live(terminal)
    monkeypatch.setenv(wish, "1")
    assert not draws_live(terminal)


def test_a_file_gets_one_line_for_each_change(screen: io.StringIO) -> None:
    """The same picture twice is one line."""
    with Progress(Console(file=screen, width=80)) as progress:
        for shown in (picture(), picture(pending=2), picture(pending=2), picture(settled=1, pending=1)):
            progress.show(shown)
    lines = [line.partition(" s  ")[2] for line in screen.getvalue().splitlines()]
    assert lines == ["in 0/0+0/0  no row yet", "in 0/0+0/0  pending 2", "in 0/0+0/0  pending 1  settled 1"]


def test_the_live_table_fits_80_columns(screen: io.StringIO) -> None:
    """Each state is one line of at most 80 characters, states that went wrong only when there are any."""
    with Progress(Console(file=screen, width=80, force_terminal=True, color_system=None)) as progress:
        progress.show(picture(pending=3, settled=40, failed=1))
    last = screen.getvalue().rpartition("pending ")[2].splitlines()
    assert [line.split()[0] for line in last[1:] if line.strip()][:6] == [
        "dispatched",
        "submitting",
        "submitted",
        "covered",
        "settled",
        "skipped",
    ]
    assert any(line.startswith("failed") for line in last)
    assert not any(line.startswith("expired") for line in last)
    assert max(map(len, last)) <= 80


def test_rows_in_full_are_folded_and_literal(screen: io.StringIO) -> None:
    """A long value goes on in the next line, whole; what looks like markup is printed as it stands; times are UTC."""
    print_examples(Console(file=screen, width=80), [ROW])
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "[red]free[/red]" in screen.getvalue()
    assert screen.getvalue().count("z") == 100
    assert "2026-11-23T12:00:00+00:00" in screen.getvalue()


def test_endings_are_counted(screen: io.StringIO) -> None:
    """States with their reasons and verdicts stand side by side, each with its number of rows."""
    skipped = {"State": "skipped", "StateReason": "too_old"}
    print_endings(Console(file=screen, width=80), [ROW, skipped, skipped])
    rows = [line.split() for line in screen.getvalue().splitlines()]
    assert ["settled", "1", "malicious", "1"] in rows
    assert ["skipped", "too_old", "2"] in rows
