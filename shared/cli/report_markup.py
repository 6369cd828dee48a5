"""HTML and SVG as trees of elements, so that no text can become markup: text is escaped where the tree is written.

Charts are a few shapes of our own: a library that draws would bring its script, its fonts or 30 MB for four kinds of
chart, and none of those weighed (pygal, leather, matplotlib, vl-convert) follows a page from light to dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from .condition import age_of
from .output import shown

Child = Element | str
WIDTH: Final = 720
HEIGHT: Final = 200
_LEFT: Final = 52
_BOTTOM: Final = 22
_TOP: Final = 8
_SECONDS_MARKS: Final = (1, 10, 60, 600, 3_600, 6 * 3_600, 86_400, 7 * 86_400, 31 * 86_400)
"""Lengths of time to read a chart by; nothing takes longer than the last, by which a row has ended."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one kind, one for each place of a chart; `tone` is its colour's class."""

    name: str
    tone: str
    values: Sequence[int | None]


def element(tag: str, *children: Child, **attributes: str) -> Element:
    """An element; `class_` stands for `class`, and a `_` within a name for `-`."""
    found = Element(tag, {name.rstrip("_").replace("_", "-"): shown(value) for name, value in attributes.items()})
    for child in children:
        add(found, child)
    return found


def add(parent: Element, child: Child) -> None:
    """Put an element or a text behind what is in another; a text is one line without invisible characters."""
    if isinstance(child, Element):
        parent.append(child)
    elif len(parent):
        parent[-1].tail = (parent[-1].tail or "") + shown(child)
    else:
        parent.text = (parent.text or "") + shown(child)


def written(root: Element) -> str:
    """The whole page as text."""
    return f"<!doctype html>\n{tostring(root, encoding='unicode', method='html')}\n"


# --- charts ---------------------------------------------------------------------------------------------------------


def stacked(label: str, names: Sequence[str], series: Sequence[Series]) -> Element:
    """A column for each name, made of the series' values, the first at its foot."""
    tops = [sum(one.values[place] or 0 for one in series) for place in range(len(names))]
    marks = _count_marks(max(tops, default=0))
    chart = _chart(label, [(mark / marks[-1], f"{mark:,}") for mark in marks], names)
    step = (WIDTH - _LEFT) / max(len(names), 1)
    for place, name in enumerate(names):
        foot = 0
        for one in series:
            value = one.values[place] or 0
            if value:
                x, wide = _LEFT + step * place + step * 0.1, step * 0.8
                bar = _box(x, _y((foot + value) / marks[-1]), wide, _plot() * value / marks[-1], one.tone)
                add(bar, element("title", f"{name}: {value:,} {one.name}"))
                add(chart, bar)
            foot += value
    return _figure(chart, series)


def lines_of_seconds(label: str, names: Sequence[str], series: Sequence[Series]) -> Element:
    """A point for each name and series, joined where they follow each other; seconds, on a logarithmic scale."""
    known = [value for one in series for value in one.values if value is not None]
    marks = _seconds_marks(known)
    low, high = math.log(marks[0]), math.log(marks[-1])
    chart = _chart(label, [((math.log(mark) - low) / (high - low), age_of(mark)) for mark in marks], names)
    step = (WIDTH - _LEFT) / max(len(names), 1)
    for one in series:
        for run in _runs(one.values):
            points = [
                (_LEFT + step * (place + 0.5), min((math.log(max(value, 1)) - low) / (high - low), 1.0))
                for place, value in run
            ]
            told = " ".join(f"{x:.1f},{_y(share):.1f}" for x, share in points)
            add(chart, element("polyline", points=told, class_=f"line {one.tone}"))
            for (x, share), (place, value) in zip(points, run, strict=True):
                dot = element("circle", cx=f"{x:.1f}", cy=f"{_y(share):.1f}", r="2", class_=one.tone)
                add(dot, element("title", f"{names[place]}: {one.name} {age_of(value)}"))
                add(chart, dot)
    return _figure(chart, series)


def bar_of(parts: Sequence[tuple[int, str]], most: int) -> Element:
    """A small horizontal bar of values and their tones, as long as `most` allows."""
    chart = element("svg", viewBox="0 0 160 12", class_="bar", aria_hidden="true")
    x = 0.0
    for value, tone in parts:
        wide = 160 * value / most if most else 0
        if value:
            add(chart, _box(x, 1, max(wide, 1), 10, tone))
        x += wide
    return chart


def cells(label: str, days: Sequence[tuple[str, int, int, str]]) -> Element:
    """A square for each day, told as its title, column, row and tone."""
    columns = 1 + max((column for _, column, _, _ in days), default=0)
    size = min(20, WIDTH // columns)
    wide, high = str(columns * size), str(7 * size)
    chart = element("svg", viewBox=f"0 0 {wide} {high}", width=wide, role="img", aria_label=label, class_="days")
    for told, column, row, tone in days:
        cell = _box(column * size, row * size, size - 2, size - 2, tone)
        add(cell, element("title", told))
        add(chart, cell)
    return chart


def legend(series: Sequence[tuple[str, str]]) -> Element:
    """What each colour stands for: names and tones."""
    found = element("p", class_="legend")
    for name, tone in series:
        key = element("svg", viewBox="0 0 10 10", class_="key", aria_hidden="true")
        add(key, _box(0, 0, 10, 10, tone))
        add(found, element("span", key, name))
    return found


def _figure(chart: Element, series: Sequence[Series]) -> Element:
    return element("figure", element("div", chart, class_="wide"), legend([(one.name, one.tone) for one in series]))


def _chart(label: str, marks: Sequence[tuple[float, str]], names: Sequence[str]) -> Element:
    """An empty chart with its scale, and at most eight of the names below it."""
    chart = element("svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label)
    for share, told in marks:
        y = f"{_y(share):.1f}"
        SubElement(chart, "line", {"x1": str(_LEFT), "x2": str(WIDTH), "y1": y, "y2": y, "class": "grid"})
        add(chart, element("text", told, x=str(_LEFT - 6), y=y, class_="mark"))
    step = (WIDTH - _LEFT) / max(len(names), 1)
    for place in range(0, len(names), -(-len(names) // 8) or 1):
        x = f"{_LEFT + step * (place + 0.5):.1f}"
        add(chart, element("text", names[place], x=x, y=str(HEIGHT - 6), class_="name"))
    return chart


def _box(x: float, y: float, wide: float, high: float, tone: str) -> Element:
    sizes = {"x": x, "y": y, "width": wide, "height": high}
    return element("rect", class_=tone, **{name: f"{value:.1f}" for name, value in sizes.items()})


def _plot() -> float:
    return HEIGHT - _TOP - _BOTTOM


def _y(share: float) -> float:
    return _TOP + _plot() * (1 - share)


def _count_marks(most: int) -> list[int]:
    """Up to five round numbers from 0 to at least the most."""
    step = next(base * 10**power for power in range(12) for base in (1, 2, 5) if base * 10**power * 4 >= max(most, 1))
    return [step * number for number in range(-(-max(most, 1) // step) + 1)]


def _seconds_marks(known: Sequence[int]) -> list[int]:
    """The marks that hold all of them, two or more; what is longer than the last is drawn at it."""
    low, high = min(known, default=1), max(known, default=1)
    first = max((place for place, mark in enumerate(_SECONDS_MARKS[:-1]) if mark <= low), default=0)
    last = next((place for place, mark in enumerate(_SECONDS_MARKS) if mark >= high), len(_SECONDS_MARKS) - 1)
    return list(_SECONDS_MARKS[first : max(last, first + 1) + 1])


def _runs(values: Sequence[int | None]) -> list[list[tuple[int, int]]]:
    """The values with their places, cut where there is none."""
    found: list[list[tuple[int, int]]] = [[]]
    for place, value in enumerate(values):
        if value is not None:
            found[-1].append((place, value))
        elif found[-1]:
            found.append([])
    return [run for run in found if run]
