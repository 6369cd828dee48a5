"""How far a command is, on standard error: a bar for what has an end, a line for what is waited for.

The invariant: where nobody watches, nothing is written. Both vanish when they are done, so that they stand in nothing
that is kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .output import TYPED, width

if TYPE_CHECKING:
    from rich.console import Console


_SPINNER = 2
"""Characters before the text of a live line."""


@contextmanager
def gauge(label: str, total: int, *, is_coloured: bool) -> Iterator[Callable[[], None]]:
    """A bar of `total` steps; yields what is called after each."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*parts, console=_console(is_coloured=is_coloured), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def live_line(label: str, *, is_coloured: bool) -> Iterator[Callable[[str], None]]:
    """A line that lives; yields what changes its text, which must hold nothing that a stranger wrote."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    console = _console(is_coloured=is_coloured)
    most = max(console.width - _SPINNER - TYPED, 1)
    with console.status(label[:most]) as status:
        yield lambda text: status.update(text[:most])


def _console(*, is_coloured: bool) -> Console:
    from rich.console import Console  # noqa: PLC0415 - dear, and only terminals need it

    columns = width(sys.stderr)
    return Console(stderr=True, width=columns, no_color=not is_coloured, highlight=False, markup=False)
