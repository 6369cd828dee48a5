"""The page of `submissions report --to`, opened in Chromium: it asks for nothing, complains of nothing, and fits.

KEEP_SCREENS=1 keeps the picture that docs/report.md shows, of an invented company.
"""

import asyncio
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.azurite import Azurite
from shared.domain.model import Category
from tests.cli.report_rows import REPORTERS, months_of_rows
from tests.cli.test_report import report, write
from tests.support.browser import CHROMIUM, open_tab
from tests.support.command_line import ROOT

MARKUP = "<img src=http://evil.example/x onerror=alert(1)>\"'><script>alert(2)</script>&lt;b&gt;"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")


@pytest.fixture(scope="module")
def page(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of three months."""
    connection, folder = azurite.new_account(), tmp_path_factory.mktemp("page")
    asyncio.run(write(connection, months_of_rows(datetime.now(UTC), 90)))
    done = report(connection, "--to", "report.html", folder=folder)
    assert (done.code, done.out) == (0, ""), done.err
    return folder / "report.html"


def test_the_page_has_all_that_is_asked(page: Path) -> None:
    """Verdict, recommendation and each section; reporters are numbered, and nothing of it points elsewhere."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings == [
        "Volume",
        "Regularity, day by day",
        "Look at",
        "Claims and verdicts",
        "Time to submit and to verdict",
        "Not submitted, and why",
        "Campaigns",
        "Reporters, and how often they are right",
        "Claimed as false positives, by sender domain",
        "Figures by week",
    ]
    assert "<strong>PASS</strong>" in text
    assert "Zero Trust Assessment, test 41117" in text
    assert not any(name in text for name in REPORTERS)
    assert not re.findall(r"""(?:src|href|action|url)\s*[=(]\s*["']?[^"')]""", text)


@needs_chromium
async def test_it_asks_for_nothing_and_complains_of_nothing(page: Path, tmp_path: Path) -> None:
    """On a wide and on a narrow screen, in both colour schemes and on paper."""
    pictures: dict[tuple[int, bool], bytes] = {}
    async with open_tab(tmp_path / "browser") as tab:
        for width, is_dark in ((1000, False), (1000, True), (400, False)):
            await tab.visit(page, width=width, is_dark=is_dark)
            assert await tab.evaluate("document.documentElement.scrollWidth") <= width
            background = await tab.evaluate("getComputedStyle(document.body).backgroundColor")
            assert background == ("rgb(15, 20, 25)" if is_dark else "rgb(255, 255, 255)")
            assert await tab.evaluate("document.querySelectorAll('rect').length") > 100
            pictures[width, is_dark] = await tab.picture(is_whole=False)
        paper = await tab.paper()
    assert set(tab.requests) == {page.as_uri()}
    assert tab.complaints == []
    assert len(set(pictures.values())) == 3
    assert paper.startswith(b"%PDF")
    if os.environ.get("KEEP_SCREENS"):
        (ROOT / "docs" / "screens" / "report.png").write_bytes(pictures[1000, False])


@needs_chromium
async def test_the_browser_tells_what_a_page_does(tmp_path: Path) -> None:
    """A page that asks for a picture and fails in its script is caught at both."""
    other = tmp_path / "other.html"
    other.write_text("<img src='http://evil.example/x.png'><script>missing()</script>", encoding="utf-8")
    async with open_tab(tmp_path / "browser") as tab:
        await tab.visit(other, width=1000)
    assert "http://evil.example/x.png" in tab.requests
    assert any("missing is not defined" in complaint for complaint in tab.complaints)


@needs_chromium
async def test_what_strangers_wrote_stays_text(storage_connection: str, tmp_path: Path) -> None:
    """A sender, a campaign and a category's reporter that are markup are read as they were written, and do nothing."""
    rows = [
        replace(
            one,
            sender=f"{MARKUP}@{MARKUP}.example",
            campaign_id=MARKUP,
            reporter=MARKUP,
            category=Category.NOT_JUNK,
            direction=Category.NOT_JUNK.direction,
        )
        for one in months_of_rows(datetime.now(UTC), 8)
    ]
    await write(storage_connection, rows)
    done = await asyncio.to_thread(report, storage_connection, "--names", "--to", "page.html", folder=tmp_path)
    assert done.code == 0, done.err
    async with open_tab(tmp_path / "browser") as tab:
        await tab.visit(tmp_path / "page.html", width=1000)
        elements = await tab.evaluate("document.querySelectorAll('script, img, b:not(.tile b), [onerror]').length")
        text = await tab.evaluate("document.body.textContent")
    assert elements == 0
    assert text.count(MARKUP) > 1
    assert MARKUP.lower() in text
    assert set(tab.requests) == {(tmp_path / "page.html").as_uri()}
    assert tab.complaints == []
