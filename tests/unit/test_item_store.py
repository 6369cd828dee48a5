"""Who speaks for an item, and which request came first: one answer, whoever asks and however often."""

import asyncio
import json

import pytest

from local.memory_storage import MemoryTable
from shared.domain.item import MOST_CLAIMS, Held, is_row_overdue
from shared.domain.model import OutcomeKey
from shared.ports import Insert
from shared.stores.items import Claim, ItemStore, KnownRequest
from tests.support.outcomes import NOW, submission_id
from tests.support.stage import StageClock
from tests.support.tables import CountingTable, YieldingTable

ITEM = "ab" * 16
A, B, C, D = (OutcomeKey("20261123", submission_id(number)) for number in range(4))


@pytest.fixture
def items() -> ItemStore:
    """Return an empty store."""
    return ItemStore(MemoryTable(), StageClock(NOW))


async def hold(items: ItemStore, item_key: str, claim: str, key: OutcomeKey) -> OutcomeKey:
    """Make one claim; returns who holds it."""
    return (await items.hold([Claim(item_key, claim, key)]))[0].holder


async def hand_over(items: ItemStore, item_key: str, claim: str, gone: OutcomeKey, to: OutcomeKey) -> OutcomeKey:
    """Hand a claim from one row to another; returns who holds it."""
    return (await items.hand_over(Claim(item_key, claim, to), gone, is_gone, speaks)).holder


async def is_gone(_: Held) -> bool:
    """Say that the holder came to nothing."""
    return True


async def speaks(_: OutcomeKey) -> bool:
    """Say that a row which was overruled speaks."""
    return True


async def test_many_claims_are_made_at_once_in_their_order(items: ItemStore) -> None:
    """The earlier of a list comes first, one that stands already holds up no other, and asking again tells the same."""
    await hold(items, ITEM, "spam", D)
    claims = [Claim(ITEM, "phishing", A), Claim("cd" * 16, "phishing", B), Claim("cd" * 16, "phishing", C)]
    for _ in range(2):
        assert [one.holder for one in await items.hold(claims)] == [A, B, B]


async def test_a_page_of_new_items_is_one_transaction() -> None:
    """Fifty reports must not cost fifty writes before the first row is written."""
    table = CountingTable()
    claims = [Claim(f"{number:032x}", "phishing", A) for number in range(50)]
    await ItemStore(table, StageClock(NOW)).hold(claims)
    assert table.calls == 1


async def test_the_first_row_holds_the_claim(items: ItemStore) -> None:
    """A later row with the same claim learns who does; asking again gives the same answer."""
    assert await hold(items, ITEM, "phishing", A) == A
    assert await hold(items, ITEM, "phishing", B) == A
    assert await hold(items, ITEM, "phishing", A) == A


async def test_another_claim_has_its_own_holder(items: ItemStore) -> None:
    """Whatever else is claimed of the item."""
    await hold(items, ITEM, "phishing", A)
    assert await hold(items, ITEM, "notJunk", B) == B
    assert await hold(items, ITEM, "notJunk", D) == B
    assert await hold(items, ITEM, "phishing", A) == A


async def test_an_item_remembers_so_many_claims_and_no_more(items: ItemStore) -> None:
    """The oldest are forgotten; nobody is refused, and the row stays within what a table takes."""
    rows = [OutcomeKey("20261123", submission_id(number)) for number in range(400)]
    for number, row in enumerate(rows):
        assert await hold(items, ITEM, f"phishing-{number:016x}", row) == row
    assert await hold(items, ITEM, f"phishing-{399:016x}", A) == rows[399]
    assert await hold(items, ITEM, f"phishing-{399 - MOST_CLAIMS:016x}", A) == A


async def test_an_item_of_an_earlier_version_goes_on() -> None:
    """Its claims have no times: they count as old, where a holder's row is missing."""
    table = MemoryTable()
    claims = json.dumps({"phishing": [A.partition, A.submission_id]})
    await table.write(Insert({"PartitionKey": "item", "RowKey": ITEM, "Claims": claims}))
    items = ItemStore(table, StageClock(NOW))
    assert await items.hold([Claim(ITEM, "phishing", B)]) == [Held(A, None)]
    assert await hold(items, ITEM, "spam", B) == B
    assert await items.hold([Claim(ITEM, "phishing", B)]) == [Held(A, None)]


async def test_items_do_not_mix(items: ItemStore) -> None:
    """The same claim about another item is free."""
    await hold(items, ITEM, "phishing", A)
    assert await hold(items, "cd" * 16, "phishing", B) == B


async def test_a_claim_is_handed_over_from_its_holder_only(items: ItemStore) -> None:
    """The first of those that it covered takes it; the next one finds the new holder."""
    await hold(items, ITEM, "phishing", A)
    assert await hand_over(items, ITEM, "phishing", A, B) == B
    assert await hand_over(items, ITEM, "phishing", A, C) == B
    assert await hold(items, ITEM, "phishing", D) == B


async def test_handing_over_may_be_repeated(items: ItemStore) -> None:
    """A process that stopped after it finds its own row as the holder."""
    await hold(items, ITEM, "phishing", A)
    for _ in range(2):
        assert await hand_over(items, ITEM, "phishing", A, B) == B


async def test_a_claim_that_nobody_made_can_be_taken(items: ItemStore) -> None:
    """Handing over what is not there is a first claim."""
    assert await hand_over(items, ITEM, "phishing", A, B) == B


@pytest.mark.parametrize("claims", [["phishing"] * 4, ["phishing", "spam", "notJunk", "malware"]])
async def test_rows_that_come_together_agree(claims: list[str]) -> None:
    """Interleaved at every call: one holder for each claim, and every row is told the same."""
    items = ItemStore(YieldingTable(), StageClock(NOW))
    rows = [A, B, C, D]
    holdings = await asyncio.gather(*(hold(items, ITEM, claim, row) for claim, row in zip(claims, rows, strict=True)))
    again = [await hold(items, ITEM, claim, row) for claim, row in zip(claims, rows, strict=True)]
    assert again == holdings
    assert len(set(holdings)) == len(set(claims))


async def test_a_request_is_known_as_it_was_first_seen(items: ItemStore) -> None:
    """Its day, its content's digest and its time stay those of the first sight, also for other content."""
    first = KnownRequest(A, "digest-1", NOW)
    assert await items.first_seen(first) == first
    later = KnownRequest(OutcomeKey("20261124", A.submission_id), "digest-2", NOW.replace(day=24))
    assert await items.first_seen(later) == first
    other = KnownRequest(B, "digest-2", NOW)
    assert await items.first_seen(other) == other


async def test_a_kept_claim_is_not_taken_over(items: ItemStore) -> None:
    """Its row goes itself from now on; before that, and once it came to nothing, another may have it."""
    claim, other = Claim("item", "phishing", A), Claim("item", "phishing", B)
    await items.hold([claim])
    assert [(await items.keep(claim)).holder for _ in range(2)] == [A, A]
    assert (await items.take_over(other, A)).holder == A
    assert (await items.hand_over(other, A, is_gone, speaks)).holder == B
    assert (await items.take_over(claim, B)).holder == A


async def test_a_claim_that_was_taken_over_cannot_be_kept(items: ItemStore) -> None:
    """The answer names who has it."""
    claim = Claim("item", "phishing", A)
    await items.hold([claim])
    await items.take_over(Claim("item", "phishing", B), A)
    assert (await items.keep(claim)).holder == B


async def test_what_disputes_a_verdict_takes_the_claim_and_names_who_had_it(items: ItemStore) -> None:
    """Asking again changes nothing, so a message that comes twice still finds whom it overruled."""
    claim, dispute = Claim("item", "phishing", A), Claim("item", "phishing", B)
    assert await items.overruled(dispute) == ()
    await items.hold([claim])
    assert [(await items.take(dispute)).holder for _ in range(2)] == [B, B]
    assert await items.overruled(dispute) == (A,)
    held = await items.held(claim)
    assert held is not None
    assert held.holder == B
    assert await items.held(Claim("item", "spam", A)) is None
    await hold(items, "item", "spam", C)
    assert await items.overruled(dispute) == (A,)
    await items.take(Claim("item", "phishing", D))
    assert await items.overruled(dispute) == (A, B)


@pytest.mark.parametrize(("still_speaks", "holder"), [({A, B}, B), ({A}, A), (set(), D)])
async def test_a_dispute_that_came_to_nothing_gives_the_claim_back(
    items: ItemStore, still_speaks: set[OutcomeKey], holder: OutcomeKey
) -> None:
    """To the latest row that was overruled and that speaks; else to who asks."""

    async def is_speaking(overruled: OutcomeKey) -> bool:
        return overruled in still_speaks

    await items.hold([Claim("item", "phishing", A)])
    for dispute in (B, C):
        await items.take(Claim("item", "phishing", dispute))
    assert (await items.hand_over(Claim("item", "phishing", D), C, is_gone, is_speaking)).holder == holder


async def test_a_row_that_comes_back_to_its_claim_makes_it_anew() -> None:
    """It was not written an hour ago, and will be now: who looks at its claim meanwhile does not take it for gone."""
    clock = StageClock(NOW)
    items = ItemStore(MemoryTable(), clock)
    claims = [Claim("item", "phishing", A), Claim("item", "phishing", B)]
    await items.hold(claims)
    await items.keep(claims[0])
    clock.advance(minutes=70)
    now = clock.now()
    for held in await items.hold(claims):
        assert held.holder == A
        assert held.since is not None
        assert held.since >= now

    async def is_overdue(held: Held) -> bool:
        return is_row_overdue(held, clock.now())

    assert (await items.hand_over(claims[1], A, is_overdue, speaks)).holder == A
    assert (await items.take_over(claims[1], A)).holder == A, "what was kept is kept"
    clock.advance(minutes=70)
    assert (await items.hand_over(claims[1], A, is_overdue, speaks)).holder == B
    assert (await items.hold(claims))[0].holder == B


async def test_one_of_two_gets_a_claim_that_is_kept_and_taken_over_at_once() -> None:
    """Whoever comes first, both are told the same."""
    items = ItemStore(YieldingTable(), StageClock(NOW))
    claim = Claim("item", "phishing", A)
    await items.hold([claim])
    kept, taken = await asyncio.gather(items.keep(claim), items.take_over(Claim("item", "phishing", B), A))
    assert kept.holder == taken.holder
