"""Spellings of one URL: one submission speaks for all of them, also one that an earlier version let in."""

import pytest

from shared.domain import keys
from shared.domain.model import OutcomeKey, State
from shared.stores.items import Claim, ItemStore
from tests.support.reports import ask, posts, submissions, url_request
from tests.support.stage import assert_feed_is_whole, stage

SPELLINGS = ("https://Lure.example", "https://lure.example:443/#a", "https://lure.example./")


async def test_spellings_of_one_request_are_submitted_once() -> None:
    """The others follow the first, which Microsoft gets in ASCII, as it was written."""
    async with stage() as on:
        for url in ("https://lure.example/ä#x", "HTTPS://LURE.EXAMPLE:443/%C3%A4"):
            await ask(on, {**url_request("shop", requestId=f"r{len(url)}"), "url": url})
        first, second = sorted(await on.finish(rows=2), key=lambda row: row.covered_by or "")
        assert (first.state, second.state, posts(on)) == (State.SETTLED, State.SETTLED, 1)
        assert second.covered_by == first.key.submission_id
        assert submissions(on)[0].request.item_key.endswith("https://lure.example/%C3%A4#x")
        assert_feed_is_whole(await on.outcomes(), await on.feed())


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_row_under_the_key_of_an_earlier_version_speaks(spelling: str) -> None:
    """Earlier versions had a key for each spelling: whoever holds a claim under one is found under it."""
    earlier = keys.url_item_as_written(spelling)
    async with stage() as on:
        nobody = OutcomeKey("20261101", "0" * 32)
        await ItemStore(on.ports.tables["items"], on.clock).hold([Claim(earlier, "notJunk", nobody)])
        for number in range(2):
            await ask(on, {**url_request("shop", requestId=f"r{number}"), "url": spelling})
        rows = await on.finish(rows=2)
        assert {row.item_key for row in rows} == {earlier}
        assert {row.state for row in rows} == {State.SETTLED}
        assert posts(on) == 1
