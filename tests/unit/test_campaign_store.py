"""The campaigns of one place stand in one row: read at once, written under its ETag, begun many together."""

from dataclasses import replace
from datetime import timedelta

import pytest

from local.memory_storage import MemoryTable
from shared.domain.representatives import MOST_CAMPAIGNS, Campaign, Representative, join, place_of
from shared.ports import Replace
from shared.settings import MOST_REPRESENTATIVES
from shared.stores.campaigns import CampaignStore, StoredCampaigns
from tests.support.members import make_key, make_member
from tests.support.outcomes import NOW
from tests.support.tables import CountingTable


def make_campaign(number: int, place: str = "mule") -> Campaign:
    """Return a campaign that the member with that number began, represented by it."""
    (campaign,), _ = join((), [make_member(number, lure=f"lure {number}", place=place)], now=NOW, at_most=3)
    return campaign


def place(campaign: Campaign) -> str:
    """Return where a campaign is kept."""
    return place_of(campaign.fingerprint)


@pytest.fixture
def table() -> CountingTable:
    """Return an empty table."""
    return CountingTable()


@pytest.fixture
def store(table: CountingTable) -> CampaignStore:
    """Return the store over that table."""
    return CampaignStore(table)


async def test_a_place_without_campaigns_is_empty(store: CampaignStore) -> None:
    """Nothing stands there, and no ETag guards the first write."""
    assert await store.get("0" * 16) == StoredCampaigns("0" * 16, (), None)


async def test_what_is_written_is_read_again(store: CampaignStore) -> None:
    """Fingerprints, representatives, ids and times to the millisecond."""
    campaign = make_campaign(1)
    second = Representative(make_key(2), NOW + timedelta(milliseconds=1), frozenset())
    campaign = replace(campaign, representatives=(*campaign.representatives, second))
    await store.begin({place(campaign): [campaign]})
    assert (await store.get(place(campaign))).campaigns == (campaign,)


async def test_only_the_first_begins_a_place(store: CampaignStore) -> None:
    """Who comes second changes nothing and is told; a place that stands holds up no other."""
    first, other = make_campaign(1), make_campaign(2, place="elsewhere")
    assert await store.begin({place(first): [first]}) == {place(first)}
    begun = await store.begin({place(first): [make_campaign(3)], place(other): [other]})
    assert begun == {place(other)}
    assert (await store.get(place(first))).campaigns == (first,)
    assert (await store.get(place(other))).campaigns == (other,)


async def test_the_campaigns_of_a_page_are_begun_in_one_transaction(store: CampaignStore, table: CountingTable) -> None:
    """Fifty reports of fifty campaigns must not cost fifty writes."""
    campaigns = [make_campaign(number, place=f"place {number}") for number in range(50)]
    assert len(await store.begin({place(one): [one] for one in campaigns})) == 50
    assert table.calls == 1


async def test_nothing_to_begin_asks_for_nothing(store: CampaignStore, table: CountingTable) -> None:
    """A page whose members only follow writes no campaign."""
    assert await store.begin({}) == set()
    assert table.calls == 0


async def test_a_change_is_refused_to_who_read_before_another_changed(store: CampaignStore) -> None:
    """Two processes cannot both appoint the last representative: the second has to look again."""
    one, other = make_campaign(1), make_campaign(2)
    await store.begin({place(one): [one]})
    read_by_both = await store.get(place(one))
    assert await store.put(read_by_both, [one, other])
    assert not await store.put(read_by_both, [one])
    assert set((await store.get(place(one))).campaigns) == {one, other}


async def test_a_first_change_is_refused_where_another_came_first(store: CampaignStore) -> None:
    """The same, of two that found nothing."""
    one = make_campaign(1)
    empty = await store.get(place(one))
    assert await store.put(empty, [one])
    assert not await store.put(empty, [make_campaign(2)])


async def test_a_campaign_that_is_over_leaves_nothing_behind(store: CampaignStore, table: CountingTable) -> None:
    """What is written is what there is: a forgotten campaign's column goes with the next write."""
    one, other = make_campaign(1), make_campaign(2)
    await store.begin({place(one): [one]})
    await store.put(await store.get(place(one)), [other])
    assert (await store.get(place(one))).campaigns == (other,)
    (row,) = table.rows()
    assert len(row) == 3


async def test_a_full_place_fits_into_its_row(store: CampaignStore) -> None:
    """As many campaigns as are kept, each with many representatives: still below the limits of Table Storage."""
    ids = frozenset({"ab" * 8, "cd" * 8})
    speaking = tuple(Representative(make_key(one), NOW, ids) for one in range(MOST_REPRESENTATIVES))
    campaigns = [replace(make_campaign(one), representatives=speaking) for one in range(MOST_CAMPAIGNS)]
    await store.begin({place(campaigns[0]): campaigns})
    assert set((await store.get(place(campaigns[0]))).campaigns) == set(campaigns)


async def test_what_another_version_wrote_is_begun_anew(store: CampaignStore, table: MemoryTable) -> None:
    """A fingerprint that cannot be read any more is no reason to stop: its campaign is forgotten, the others stay."""
    one, other = make_campaign(1), make_campaign(2)
    await store.begin({place(one): [one, other]})
    (row,) = table.rows()
    await table.write(Replace({**row, f"C{one.campaign_id}": '[1795435200000,"an older form",[]]'}))
    assert (await store.get(place(one))).campaigns == (other,)
