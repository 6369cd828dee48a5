"""Charts of whatever figures there are: none, one, nothing but noughts, and more than a scale holds."""

import re
from xml.etree.ElementTree import tostring

import pytest

from shared.cli.report_markup import Series, bar_of, cells, element, lines_of_seconds, stacked

VALUES: list[list[int | None]] = [[], [0], [1], [None], [10], [60], [604_800], [10**8]]
VALUES += [[1, None, 10**8], [0, 0, 0], [*range(400)]]


@pytest.mark.parametrize("values", VALUES, ids=lambda values: str(values[:3]))
def test_every_shape_lies_in_its_chart(values: list[int | None]) -> None:
    """And a scale has marks at both its ends, for no figures too."""
    names = [str(number) for number in range(len(values))]
    for chart in (
        stacked("counts", names, [Series("one", "a", values), Series("two", "b", values)]),
        lines_of_seconds("times", names, [Series("one", "a", values)]),
    ):
        text = tostring(chart, encoding="unicode")
        assert text.count('class="grid"') >= 2
        for name, most in (("x", 720), ("y", 200), ("cx", 720), ("cy", 200)):
            found = [float(value) for value in re.findall(rf' {name}="([^"]*)"', text)]
            assert all(0 <= value <= most for value in found), (name, found)


def test_a_bar_and_a_square_of_nothing_are_drawn() -> None:
    """A table of nothing but noughts has empty bars."""
    assert len(bar_of([(0, "a")], 0)) == 0
    assert len(cells("none", [])) == 0
    assert [rect.get("width") for rect in bar_of([(1, "a"), (3, "b")], 4)] == ["40.0", "120.0"]


def test_text_stays_text() -> None:
    """In an element and in an attribute, without what turns the reading direction."""
    found = tostring(element("p", "<b>\u202e&", "more", title='"<x>'), encoding="unicode", method="html")
    assert found == '<p title="&quot;<x&gt;">&lt;b&gt;&amp;more</p>'
