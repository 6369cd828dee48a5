"""Who is submitted for a campaign, whichever process asks first: one answer, never one representative too many."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.memory_storage import MemoryTable
from shared.domain.model import OutcomeKey
from shared.domain.representatives import IDLE_AFTER, Member, Place, Role, join, place_of
from shared.ports import Row, Write
from shared.stores.campaigns import CampaignStore
from shared.usecases.sending.campaigns import Campaigns
from tests.support.ledgers import new_ledger
from tests.support.members import make_key, make_keys, make_member
from tests.support.outcomes import NOW
from tests.support.stage import ProcessStoppedError, StageClock, Stepped, Steps
from tests.support.tables import YieldingTable

AT_MOST = 3


class TalliedTable(MemoryTable):
    """Keeps what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def get(self, partition: str, row: str) -> Row | None:
        """The row, or None."""
        self.asked.append("get")
        return await super().get(partition, row)

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Do the writes, all or none."""
        self.asked.append("write")
        return await super().write_all(writes)


def make_campaigns(table: MemoryTable | Stepped, clock: StageClock | None = None) -> Campaigns:
    """Return a process's view of the campaigns in a table."""
    return Campaigns(CampaignStore(table), AT_MOST, new_ledger(StageClock(NOW)), clock or StageClock(NOW))


def numbered(count: int, start: int = 0) -> list[Member]:
    """Return so many reports of one campaign."""
    return [make_member(number) for number in range(start, start + count)]


def submitted(places: dict[OutcomeKey, Place]) -> list[OutcomeKey]:
    """Return the members that are submitted themselves."""
    return [key for key, place in places.items() if place.covered_by is None]


async def representatives(table: MemoryTable, member: Member) -> list[OutcomeKey]:
    """Return who represents the campaigns at the member's place, as they are stored."""
    stored = await CampaignStore(table).get(place_of(member.fingerprint))
    return [one.key for campaign in stored.campaigns for one in campaign.representatives]


async def place_all(table: MemoryTable, parties: Sequence[Sequence[Member]]) -> dict[OutcomeKey, Place]:
    """Let a process for each party ask at the same time; returns what all of them were told."""
    answers = await asyncio.gather(*(make_campaigns(table).place(party) for party in parties))
    return {key: place for answer in answers for key, place in answer.items()}


async def test_members_of_several_campaigns_get_their_places_at_once() -> None:
    """Each place is its own matter; a follower of no known campaign has none."""
    members = [make_member(number, place=f"place {number % 4}") for number in range(20)]
    stranger = make_member(99, place="nowhere", role=Role.FOLLOWER)
    places = await make_campaigns(MemoryTable()).place([*members, stranger])
    assert places.keys() == {member.key for member in members}
    assert len(submitted(places)) == 4 * AT_MOST


async def test_a_second_process_finds_what_the_first_decided() -> None:
    """Nothing of a campaign is kept in memory."""
    table = MemoryTable()
    places = await make_campaigns(table).place(numbered(10))
    assert await make_campaigns(table).place(numbered(10)) == places
    assert submitted(await make_campaigns(table).place(numbered(10, start=10))) == []


@pytest.mark.parametrize("is_known", [False, True], ids=["from its beginning", "when it is known"])
async def test_processes_that_ask_together_never_appoint_one_too_many(is_known: bool) -> None:
    """Interleaved at every call: three of forty members in all, and everybody's answer holds when asked again."""
    table = YieldingTable()
    if is_known:
        await make_campaigns(table).place([make_member(99)])
    parties = [numbered(5, start=start) for start in range(0, 40, 5)]
    places = await place_all(table, parties)
    assert len(submitted(places)) == AT_MOST - is_known
    assert len({place.campaign_id for place in places.values()}) == 1
    again = [await make_campaigns(table).place(party) for party in parties]
    assert {key for answer in again for key in submitted(answer)} == set(submitted(places))


async def test_a_request_among_reports_is_submitted_whoever_is_first() -> None:
    """An operator asks while two processes collect: the request goes, and reports never pass their limit."""
    table = YieldingTable()
    request = make_member(50, role=Role.REQUEST)
    parties = [numbered(5), [request], numbered(5, start=10)]
    places = await place_all(table, parties)
    assert request.key in submitted(places)
    assert len(submitted(places)) <= AT_MOST + 1


@given(data=st.data(), sizes=st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_any_members_in_any_interleaving_keep_the_limit(data: st.DataObject, sizes: list[int]) -> None:
    """Whatever comes together, of two campaigns of one place and one of another: three reports of each at most."""
    looks = st.sampled_from([("parcel", "mule"), ("invoice", "mule"), ("parcel", "elsewhere")])
    numbers = itertools.count()
    parties = [
        [
            make_member(next(numbers), lure=lure, place=place)
            for lure, place in data.draw(st.lists(looks, min_size=size))
        ]
        for size in sizes
    ]
    places = asyncio.run(place_all(YieldingTable(), parties))
    assert len(places) == next(numbers)
    members = Counter(place.campaign_id for place in places.values())
    own = Counter(place.campaign_id for place in places.values() if place.covered_by is None)
    assert own == {campaign_id: min(AT_MOST, count) for campaign_id, count in members.items()}


# Stops.


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
async def test_a_stop_at_any_call_appoints_nobody_twice(after_effect: bool) -> None:
    """The next process asks again, with one more member in front: the decision stands, or was never made."""
    for stop_at in range(3):
        table = MemoryTable()
        await make_campaigns(table).place([make_member(99)])
        steps = Steps(stop_at=stop_at, after_effect=after_effect)
        with pytest.raises(ProcessStoppedError):
            await make_campaigns(Stepped("table", table, steps)).place(numbered(5))
        decided = await representatives(table, make_member(99))
        places = await make_campaigns(table).place([make_member(50), *numbered(5)])
        assert len(submitted(places)) == AT_MOST - 1
        assert (await representatives(table, make_member(99)))[: len(decided)] == decided


# Handing over.


async def test_all_that_were_covered_by_one_that_came_to_nothing_follow_one_other() -> None:
    """Interleaved at every call: one of them takes its place, and all are told who."""
    table = YieldingTable()
    places = await make_campaigns(table).place(numbered(9))
    (campaign_id,) = {place.campaign_id for place in places.values()}
    told = await asyncio.gather(
        *(make_campaigns(table).hand_over(campaign_id, make_key(0), make_key(number)) for number in range(3, 9))
    )
    assert len(set(told)) == 1
    assert told[0] in make_keys(range(3, 9))
    assert set(await representatives(table, make_member(0))) == {*make_keys([1, 2]), told[0]}


async def test_handing_over_may_be_repeated() -> None:
    """A process that stopped after it is told the same, also when others were promoted since."""
    table = MemoryTable()
    places = await make_campaigns(table).place(numbered(9))
    campaign_id = places[make_key(0)].campaign_id
    for _ in range(2):
        for gone, to in ((0, 5), (1, 6)):
            told = await make_campaigns(table).hand_over(campaign_id, make_key(gone), make_key(to))
            assert told == make_key(to)
    assert await representatives(table, make_member(0)) == make_keys([2, 5, 6])


async def test_handing_over_while_others_join_loses_neither() -> None:
    """The row is written by both: who promotes looks again, and who joins finds no free place."""
    table = YieldingTable()
    clock = StageClock(NOW)
    places = await make_campaigns(table).place(numbered(9))
    campaign_id = places[make_key(0)].campaign_id
    others = [make_member(number, lure="invoice") for number in range(20, 25)]
    told, joined, begun = await asyncio.gather(
        make_campaigns(table, clock).hand_over(campaign_id, make_key(0), make_key(5)),
        make_campaigns(table, clock).place(numbered(5, start=10)),
        make_campaigns(table, clock).place(others),
    )
    assert told == make_key(5)
    assert submitted(joined) == []
    assert len(submitted(begun)) == AT_MOST
    assert set(await representatives(table, make_member(0))) == {*make_keys([1, 2, 5]), *submitted(begun)}


async def test_a_member_of_a_forgotten_campaign_goes_itself() -> None:
    """Nobody is left who could speak for it."""
    assert await make_campaigns(MemoryTable()).hand_over("ab" * 16, make_key(0), make_key(5)) == make_key(5)


# What it costs.


async def test_a_covered_page_costs_a_refused_insert_and_one_read() -> None:
    """Ten thousand reports of one campaign must not queue up to write its row."""
    table = TalliedTable()
    await make_campaigns(table).place(numbered(5))
    table.asked.clear()
    await make_campaigns(table).place(numbered(50, start=10))
    assert table.asked == ["write", "get"]


@pytest.mark.parametrize("place", ["other places", "the same place"])
async def test_a_lookup_asks_the_same_however_many_campaigns_there_were(place: str) -> None:
    """With none and with hundreds of old ones, live or over, near or far."""
    asked: list[list[str]] = []
    for old in (0, 60):
        table, clock = TalliedTable(), StageClock(NOW)
        for number in range(old):
            at = f"place {number}" if place == "other places" else "mule"
            clock.advance(seconds=1)
            await make_campaigns(table, clock).place([make_member(1000 + number, lure=f"old {number}", place=at)])
        await make_campaigns(table, clock).place(numbered(5))
        table.asked.clear()
        await make_campaigns(table, clock).place(numbered(50, start=10))
        asked.append(list(table.asked))
    assert asked[0] == asked[1]


async def test_old_campaigns_of_a_place_are_dropped_when_it_is_written() -> None:
    """A row does not keep what nobody reported for three days."""
    table, clock = MemoryTable(), StageClock(NOW)
    for number in range(20):
        await make_campaigns(table, clock).place([make_member(number, lure=f"old {number}")])
    clock.advance(seconds=(IDLE_AFTER + timedelta(seconds=1)).total_seconds())
    await make_campaigns(table, clock).place([make_member(99)])
    stored = await CampaignStore(table).get(place_of(make_member(99).fingerprint))
    (expected,), _ = join((), [make_member(99)], now=NOW, at_most=AT_MOST)
    assert [one.campaign_id for one in stored.campaigns] == [expected.campaign_id]
