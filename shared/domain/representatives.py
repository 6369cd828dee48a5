"""Which campaign a mail belongs to, and which of a campaign's members are submitted for all of them.

The first members are submitted, up to a limit in any 24 hours, and of those that come together the ones that differ
most: a verdict is worth more from another copy than from the same one. The rest are covered. Who represents a
campaign is written down before any of its rows is, so asking again gives the same answer.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from .campaigns import Fingerprint, belongs, distance
from .model import OutcomeKey

IDLE_AFTER = timedelta(days=3)
"""A campaign that nobody reported for so long is over; the same text later begins another one."""
REPRESENTS_FOR = timedelta(hours=24)
"""How long a submitted member counts against the limit and speaks for members that come later."""
SEEN_AGAIN_AFTER = timedelta(hours=1)
"""How exactly it is remembered when a campaign was last seen: less often is fewer writes."""
MOST_CAMPAIGNS = 100
"""How many campaigns are told apart that agree in all but their text; beyond it the longest unseen is forgotten."""


class Role(enum.Enum):
    """What a member may become. A follower is covered by its own item's holder already and is linked only."""

    REPORT = enum.auto()
    REQUEST = enum.auto()
    FOLLOWER = enum.auto()


@dataclass(frozen=True, slots=True)
class Member:
    """A mail that is reported or requested now."""

    key: OutcomeKey
    fingerprint: Fingerprint
    role: Role = Role.REPORT


@dataclass(frozen=True, slots=True)
class Representative:
    """A member that is submitted for the campaign, since when, and the ids it went by."""

    key: OutcomeKey
    since: datetime
    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as its first member looked, who speaks for it, and when it was last seen."""

    campaign_id: str
    fingerprint: Fingerprint
    representatives: tuple[Representative, ...]
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Place:
    """A member's campaign, and the representative that covers it; None where it is to be submitted itself."""

    campaign_id: str
    covered_by: OutcomeKey | None


def campaign_id(first: Member) -> str:
    """The id of the campaign that this member begins: where it is kept, and who began it; 32 hex digits."""
    own = hashlib.sha256(first.key.submission_id.encode()).hexdigest()[:16]
    return f"{place_of(first.fingerprint)}{own}"


def place_of(fingerprint: Fingerprint) -> str:
    """Where campaigns that may be this one are kept: the first half of their ids."""
    return fingerprint.bucket[:16]


def join(
    campaigns: Sequence[Campaign],
    members: Sequence[Member],
    *,
    now: datetime,
    at_most: int,
    silent: frozenset[OutcomeKey] = frozenset(),
) -> tuple[tuple[Campaign, ...], dict[OutcomeKey, Place]]:
    """Each member's place, and the campaigns as they are then; the members and campaigns of one place only.

    At most `at_most` members represent a campaign at a time, not counting those in `silent`, who speak no longer. What
    an operator asked for is submitted all the same, and represents it while there is room.
    """
    live = [one for one in campaigns if now - one.seen_at < IDLE_AFTER]
    parties: dict[str, list[Member]] = {}
    for member in sorted(members, key=lambda one: one.role is Role.FOLLOWER):  # what they follow may stand behind them
        campaign = next((one for one in live if belongs(one.fingerprint, member.fingerprint)), None)
        if campaign is None and member.role is Role.FOLLOWER:
            continue
        if campaign is None:
            campaign = Campaign(campaign_id(member), member.fingerprint, (), now)
            live.append(campaign)
        parties.setdefault(campaign.campaign_id, []).append(member)
    after = [_appoint(_without(one, silent), parties.get(one.campaign_id, ()), now, at_most) for one in live]
    kept = sorted(after, key=lambda one: one.seen_at)[-MOST_CAMPAIGNS:]
    places = {member.key: _place(one, member) for one in after for member in parties.get(one.campaign_id, ())}
    return tuple(kept), places


def hand_over(campaign: Campaign, gone: OutcomeKey, to: OutcomeKey, now: datetime) -> Campaign:
    """The campaign with `to` in the place of a representative that came to nothing; unchanged if it was replaced."""
    left = tuple(one for one in campaign.representatives if one.key != gone)
    if left and left == campaign.representatives:
        return campaign
    return replace(campaign, representatives=(*left, Representative(to, now, frozenset())))


def _without(campaign: Campaign, silent: frozenset[OutcomeKey]) -> Campaign:
    return replace(campaign, representatives=tuple(one for one in campaign.representatives if one.key not in silent))


def _appoint(campaign: Campaign, members: Sequence[Member], now: datetime, at_most: int) -> Campaign:
    """The campaign with those of the new members that are to be submitted for it."""
    if not members:
        return campaign
    speaking = [one for one in campaign.representatives if now - one.since < REPRESENTS_FOR]
    known = {one.key for one in speaking}
    fresh = [one for one in members if one.key not in known]
    requested = [one for one in fresh if one.role is Role.REQUEST][: max(0, at_most - len(speaking))]
    reported = [one for one in fresh if one.role is Role.REPORT]
    speaking += [_representative(one, now) for one in requested]
    chosen = _most_different(campaign, reported, speaking, at_most - len(speaking))
    speaking += [_representative(one, now) for one in chosen]
    seen_at = now if now - campaign.seen_at >= SEEN_AGAIN_AFTER else campaign.seen_at
    return replace(campaign, representatives=tuple(speaking), seen_at=seen_at)


def _most_different(
    campaign: Campaign, members: Sequence[Member], speaking: Sequence[Representative], count: int
) -> list[Member]:
    """Up to `count` of the members, each as different as can be from those chosen before; the earlier at a tie."""
    left, picked = list(members), list[Member]()
    seen = [campaign.fingerprint] if speaking else []
    ids = {one for representative in speaking for one in representative.ids}
    while left and len(picked) < count:
        news = [_newness(member.fingerprint, seen, ids) for member in left]
        best = left.pop(news.index(max(news)))
        picked.append(best)
        seen.append(best.fingerprint)
        ids |= best.fingerprint.ids
    return picked


def _newness(fingerprint: Fingerprint, seen: Sequence[Fingerprint], ids: set[str]) -> tuple[bool, float]:
    """How much a mail would add: another sending first, then another text."""
    return ids.isdisjoint(fingerprint.ids), min((distance(one, fingerprint) for one in seen), default=0.0)


def _representative(member: Member, now: datetime) -> Representative:
    return Representative(member.key, now, member.fingerprint.ids)


def _place(campaign: Campaign, member: Member) -> Place:
    speaking = campaign.representatives
    if member.role is not Role.REPORT or any(one.key == member.key for one in speaking):
        return Place(campaign.campaign_id, None)
    return Place(campaign.campaign_id, _nearest(speaking, member).key)


def _nearest(speaking: Sequence[Representative], member: Member) -> Representative:
    """A representative that was the very same mail, where there is one; else any.

    Members are spread over them, so that each that comes to nothing is missed, and another promoted in its place.
    """
    same = [one for one in speaking if not one.ids.isdisjoint(member.fingerprint.ids)]
    among = same or speaking
    return among[int(member.key.submission_id[:8], 16) % len(among)]
