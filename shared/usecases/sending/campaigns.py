"""Campaigns: each mail's place in its campaign, and another representative where one came to nothing.

The decision is written to the campaign before any row is, guarded by ETag: two processes never appoint one too many,
and a process that stopped after it finds the same answer when it asks again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ...domain.model import Agreement, OutcomeKey, State
from ...domain.representatives import Member, Place, hand_over, join, place_of
from ...ports import Clock
from ...stores.campaigns import CampaignStore
from ...stores.ledger import Ledger


class Campaigns:
    """Tells who is submitted for whom."""

    def __init__(self, store: CampaignStore, representatives: int, ledger: Ledger, clock: Clock) -> None:
        self._store = store
        self._ledger = ledger
        self._representatives = representatives
        self._clock = clock

    async def place(self, members: Sequence[Member]) -> dict[OutcomeKey, Place]:
        """The place of each member; none for a follower whose campaign is not known."""
        parties: defaultdict[str, list[Member]] = defaultdict(list)
        for member in members:
            parties[place_of(member.fingerprint)].append(member)
        places = await self._begun(parties)
        for place, party in parties.items():
            if not places.keys() & {member.key for member in party}:
                places |= await self._joined(place, party)
        return places

    async def hand_over(self, campaign_id: str, gone: OutcomeKey, to: OutcomeKey) -> OutcomeKey:
        """Let `to` represent the campaign in place of `gone`; returns who is submitted for `to` now, perhaps itself."""
        while True:
            stored = await self._store.get(campaign_id[: len(campaign_id) // 2])
            campaign = next((one for one in stored.campaigns if one.campaign_id == campaign_id), None)
            if campaign is None or any(one.key == to for one in campaign.representatives):
                return to
            after = hand_over(campaign, gone, to, self._clock.now())
            if after == campaign:
                return campaign.representatives[-1].key
            others = [one for one in stored.campaigns if one is not campaign]
            if await self._store.put(stored, [*others, after]):
                return to

    async def _begun(self, parties: dict[str, list[Member]]) -> dict[OutcomeKey, Place]:
        """The places of those that begin the first campaign of its kind, all written together."""
        now = self._clock.now()
        begun = {place: join((), party, now=now, at_most=self._representatives) for place, party in parties.items()}
        fresh = await self._store.begin({place: campaigns for place, (campaigns, _) in begun.items() if campaigns})
        return {key: found for place in fresh for key, found in begun[place][1].items()}

    async def _joined(self, place: str, party: Sequence[Member]) -> dict[OutcomeKey, Place]:
        """The places of members among campaigns that are known; none is covered by a row that speaks no longer."""
        asked: dict[OutcomeKey, bool] = {}
        while True:
            silent = frozenset(key for key, is_silent in asked.items() if is_silent)
            stored = await self._store.get(place)
            campaigns, places = join(
                stored.campaigns, party, now=self._clock.now(), at_most=self._representatives, silent=silent
            )
            unasked = {one.covered_by for one in places.values() if one.covered_by is not None} - asked.keys()
            asked |= {key: await self._is_silent(key) for key in unasked}
            if any(asked[key] for key in unasked):
                continue
            if set(campaigns) == set(stored.campaigns) or await self._store.put(stored, campaigns):
                return places

    async def _is_silent(self, key: OutcomeKey) -> bool:
        """Whether a representative speaks no longer: a bait must not speak for what comes later, nor what expired."""
        stored = await self._ledger.get(key)
        if stored is None:
            return False
        return stored.outcome.agreement is Agreement.REFUTED or stored.outcome.state is State.EXPIRED
