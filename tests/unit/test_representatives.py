"""Who is submitted for a campaign: at most so many in any 24 hours, the most different ones; a place for everybody."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.model import OutcomeKey
from shared.domain.representatives import (
    IDLE_AFTER,
    MOST_CAMPAIGNS,
    REPRESENTS_FOR,
    SEEN_AGAIN_AFTER,
    Campaign,
    Member,
    Place,
    Role,
    hand_over,
    join,
    place_of,
)
from tests.support.members import make_fingerprint, make_key, make_keys, make_member, make_twisted
from tests.support.outcomes import NOW

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def join_three(
    campaigns: Sequence[Campaign], members: Sequence[Member], now: datetime = NOW
) -> tuple[tuple[Campaign, ...], dict[OutcomeKey, Place]]:
    """Let members join where three represent a campaign."""
    return join(campaigns, members, now=now, at_most=3)


def submitted(places: dict[OutcomeKey, Place]) -> list[OutcomeKey]:
    """Return the members that are submitted themselves."""
    return [key for key, place in places.items() if place.covered_by is None]


def numbered(count: int, start: int = 0) -> list[Member]:
    """Return so many reports of one campaign."""
    return [make_member(number) for number in range(start, start + count)]


# Places.


def test_the_first_members_are_submitted_and_the_rest_are_covered() -> None:
    """Three speak for all; every other member names one of them and the campaign."""
    (campaign,), places = join_three((), numbered(10))
    assert submitted(places) == make_keys(range(3))
    assert {place.campaign_id for place in places.values()} == {campaign.campaign_id}
    assert {place.covered_by for place in places.values()} - {None} <= set(make_keys(range(3)))


def test_members_that_come_one_by_one_are_treated_as_if_they_came_together() -> None:
    """The limit counts those of earlier calls too."""
    campaigns: tuple[Campaign, ...] = ()
    own: list[OutcomeKey] = []
    for member in numbered(10):
        campaigns, places = join_three(campaigns, [member])
        own += submitted(places)
    assert own == make_keys(range(3))


def test_another_bucket_or_other_words_are_another_campaign() -> None:
    """Two lures of one sender, and one lure that leads elsewhere, do not speak for each other."""
    members = [make_member(1), make_member(2, lure="invoice"), make_member(3, place="elsewhere")]
    _, places = join_three((), members)
    assert len({place.campaign_id for place in places.values()}) == len(submitted(places)) == 3


def test_campaigns_of_one_bucket_are_kept_in_one_place_and_each_has_its_own_limit() -> None:
    """They are told apart by their words only, so one lookup finds both."""
    members = numbered(10)
    members += [make_member(number, lure="invoice") for number in range(10, 20)]
    campaigns, places = join_three((), members)
    assert {one.campaign_id[:16] for one in campaigns} == {place_of(members[0].fingerprint)}
    assert len(campaigns) == 2
    assert len(submitted(places)) == 6


def test_asking_again_gives_the_same_answer_and_changes_nothing() -> None:
    """A process that stopped after the campaign was written finds what it decided."""
    campaigns, places = join_three((), numbered(10))
    again, same = join_three(campaigns, numbered(10), NOW + HOUR / 2)
    assert same == places
    assert again == campaigns


def test_a_follower_is_linked_and_nothing_else() -> None:
    """Its own item's holder covers it: it begins no campaign, takes nobody's place and is covered by none."""
    follower = make_member(99, role=Role.FOLLOWER)
    assert join_three((), [follower]) == ((), {})
    campaigns, _ = join_three((), numbered(2))
    after, places = join_three(campaigns, [follower])
    assert places == {follower.key: Place(campaigns[0].campaign_id, None)}
    assert after[0].representatives == campaigns[0].representatives


# Requests.


def test_a_request_is_submitted_however_many_are() -> None:
    """What an operator asks for is never covered by a campaign, only linked to it."""
    campaigns, _ = join_three((), numbered(10))
    requests = [make_member(number, role=Role.REQUEST) for number in range(50, 55)]
    after, places = join_three(campaigns, requests)
    assert submitted(places) == [one.key for one in requests]
    assert {place.campaign_id for place in places.values()} == {campaigns[0].campaign_id}
    assert join_three(after, requests)[1] == places


def test_reports_after_requests_need_fewer_of_their_own() -> None:
    """A request speaks for its campaign too: with three of them no report is submitted."""
    campaigns, _ = join_three((), [make_member(number, role=Role.REQUEST) for number in range(2)])
    _, places = join_three(campaigns, numbered(5, start=10))
    assert submitted(places) == make_keys([10])


def test_a_campaign_does_not_grow_with_its_requests() -> None:
    """An operator's script asks for a thousand of its mails: each is submitted, and what is stored stays small."""
    campaigns: tuple[Campaign, ...] = ()
    for number in range(200):
        request = make_member(number, role=Role.REQUEST)
        campaigns, places = join_three(campaigns, [request])
        assert places[request.key].covered_by is None
        assert join_three(campaigns, [request])[1] == places
    assert len(campaigns[0].representatives) == 3


# Time.


@pytest.mark.parametrize(("after", "more"), [(REPRESENTS_FOR - SECOND, 0), (REPRESENTS_FOR, 3)])
def test_a_representative_speaks_for_a_day(after: timedelta, more: int) -> None:
    """In any 24 hours three; a day later three more, and nobody is covered by the old ones any more."""
    campaigns, _ = join_three((), numbered(5))
    later, places = join_three(campaigns, numbered(5, start=10), NOW + after)
    assert len(submitted(places)) == more
    speaking = {one.key for one in later[0].representatives}
    assert {place.covered_by for place in places.values()} - {None} <= speaking
    assert len(speaking) == 3


@pytest.mark.parametrize(("after", "is_same"), [(IDLE_AFTER - SECOND, True), (IDLE_AFTER, False)])
def test_a_campaign_is_over_after_three_idle_days(after: timedelta, is_same: bool) -> None:
    """The same text then begins another one, with another id; the old one is forgotten."""
    (old,), _ = join_three((), numbered(5))
    (new,), places = join_three((old,), [make_member(20)], NOW + after)
    assert (new.campaign_id == old.campaign_id) is is_same
    assert places == {make_key(20): Place(new.campaign_id, None)}


def test_a_campaign_that_is_reported_stays_alive() -> None:
    """Idle is counted from the last report, whether it was covered or not, to the hour."""
    campaigns, _ = join_three((), numbered(5))
    for day in range(2, 20, 2):
        campaigns, places = join_three(campaigns, [make_member(100 + day)], NOW + day * timedelta(days=1))
    assert {place.campaign_id for place in places.values()} == {join_three((), numbered(5))[0][0].campaign_id}


def test_being_seen_is_not_written_at_every_report() -> None:
    """Ten thousand covered reports of an hour must not be ten thousand writes to one row."""
    campaigns, _ = join_three((), numbered(5))
    soon, _ = join_three(campaigns, [make_member(10)], NOW + SEEN_AGAIN_AFTER - SECOND)
    later, _ = join_three(campaigns, [make_member(10)], NOW + SEEN_AGAIN_AFTER)
    assert soon == campaigns
    assert later[0].seen_at == NOW + SEEN_AGAIN_AFTER


def test_only_so_many_campaigns_are_kept_in_one_place() -> None:
    """The longest unseen is forgotten first: what is read at each lookup has an upper bound."""
    campaigns: tuple[Campaign, ...] = ()
    for number in range(MOST_CAMPAIGNS + 5):
        member = make_member(number, lure=f"lure {number}")
        campaigns, _ = join_three(campaigns, [member], NOW + number * SECOND)
    assert len(campaigns) == MOST_CAMPAIGNS
    assert min(one.seen_at for one in campaigns) == NOW + 5 * SECOND


# Diversity.


def test_another_sending_comes_before_another_copy_of_the_same() -> None:
    """Three verdicts on one mail say little: of two sendings each is represented first."""
    copies = [make_member(number, sent="one mail") for number in range(5)]
    other = make_member(9, sent="another mail")
    _, places = join_three((), [*copies, other])
    assert submitted(places) == make_keys([0, 1, 9])


def test_the_most_different_texts_are_chosen() -> None:
    """The first that came, then the farthest from it, then the farthest from both."""
    members = [make_twisted(number, twist) for number, twist in enumerate([0, 1, 2, 3, 7, 6])]
    _, places = join_three((), members)
    assert set(submitted(places)) == set(make_keys([0, 4, 5]))


def test_a_late_representative_differs_from_those_that_speak_already() -> None:
    """One place is left: it goes to a sending that has no verdict yet, though another copy came first."""
    campaigns, _ = join_three((), [make_member(1, sent="one"), make_member(2, sent="two")])
    late = [make_member(3, sent="one"), make_member(4, sent="two"), make_member(5, sent="three")]
    _, places = join_three(campaigns, late)
    assert submitted(places) == make_keys([5])


def test_a_copy_is_covered_by_the_very_same_mail_where_it_is_submitted() -> None:
    """Its verdict says more than that of another sending."""
    campaigns, _ = join_three((), [make_member(number, sent=f"sending {number}") for number in range(3)])
    copies = [make_member(10 + number, sent=f"sending {number}") for number in range(3)]
    _, places = join_three(campaigns, copies)
    assert [places[copy.key].covered_by for copy in copies] == make_keys(range(3))


def test_members_are_spread_over_the_representatives() -> None:
    """Each of the three is missed if it comes to nothing: nobody hangs on the first alone."""
    _, places = join_three((), numbered(60))
    covering = Counter(place.covered_by for place in places.values())
    assert min(covering[key] for key in make_keys(range(3))) >= 10


# Handing over.


def test_another_member_takes_the_place_of_one_that_came_to_nothing() -> None:
    """It counts from now on, the others stay; once is enough."""
    (campaign,), _ = join_three((), numbered(5))
    after = hand_over(campaign, make_key(0), make_key(4), NOW + HOUR)
    assert [one.key for one in after.representatives] == make_keys([1, 2, 4])
    assert after.representatives[-1].since == NOW + HOUR
    assert hand_over(after, make_key(0), make_key(3), NOW + HOUR) == after


def test_a_place_that_was_given_away_is_not_given_again() -> None:
    """However many followers of the one that is gone ask, the limit is not passed."""
    (campaign,), _ = join_three((), numbered(9))
    for number in range(3, 9):
        campaign = hand_over(campaign, make_key(0), make_key(number), NOW)
    assert len(campaign.representatives) == 3


def test_a_campaign_that_nobody_represents_takes_whoever_asks() -> None:
    """Its representatives may all be older than a day, or have been replaced one after the other."""
    (campaign,), _ = join_three((), numbered(1))
    empty = replace(campaign, representatives=())
    after = hand_over(empty, make_key(0), make_key(4), NOW)
    assert [one.key for one in after.representatives] == [make_key(4)]


# Any order and any batches.


@dataclass
class Story:
    """What became of the members of one bucket so far."""

    campaigns: tuple[Campaign, ...] = ()
    now: datetime = NOW
    appointed: dict[OutcomeKey, tuple[str, datetime]] = field(default_factory=dict)

    def go_on(self, batch: Sequence[Member], pause: timedelta) -> dict[OutcomeKey, Place]:
        """Let a batch come after a pause."""
        self.now += pause
        self.campaigns, places = join_three(self.campaigns, batch, self.now)
        for member in batch:
            if member.role is Role.REPORT and places[member.key].covered_by is None:
                self.appointed.setdefault(member.key, (places[member.key].campaign_id, self.now))
        return places

    def most_in_a_day(self) -> int:
        """The most reports of one campaign that were appointed in any 24 hours."""
        starts = self.appointed.values()
        counts = [
            sum(name == other and start <= at < start + REPRESENTS_FOR for other, at in starts)
            for name, start in starts
        ]
        return max(counts, default=0)


looks = st.tuples(st.sampled_from(["parcel", "invoice", "prize"]), st.integers(0, 4), st.sampled_from(list(Role)))
batches = st.lists(st.lists(looks, min_size=1, max_size=12), min_size=1, max_size=8)
pauses = st.integers(0, 40).map(lambda hours: timedelta(hours=hours, minutes=hours % 7))


def members_of(drawn: list[list[tuple[str, int, Role]]]) -> list[list[Member]]:
    """Return the batches with their members numbered."""
    numbers = iter(range(1_000))
    return [
        [make_member(next(numbers), role=role, lure=lure, sent=f"{lure} {sent}") for lure, sent, role in batch]
        for batch in drawn
    ]


@given(drawn=batches, spans=st.lists(pauses, min_size=8, max_size=8))
def test_any_order_and_batching_keeps_the_limit(
    drawn: list[list[tuple[str, int, Role]]], spans: list[timedelta]
) -> None:
    """Three reports at most of a campaign in any 24 hours, one place for each member, the same when asked again."""
    story = Story()
    for batch, pause in zip(members_of(drawn), spans, strict=False):
        places = story.go_on(batch, pause)
        assert {one.key for one in batch if one.role is not Role.FOLLOWER} <= places.keys()
        speaking = {one.key: each.campaign_id for each in story.campaigns for one in each.representatives}
        for place in places.values():
            assert place.covered_by is None or speaking[place.covered_by] == place.campaign_id
        assert all(places[one.key].covered_by is None for one in batch if one.role is Role.REQUEST)
        assert story.go_on(batch, timedelta()) == places
    assert story.most_in_a_day() <= 3


@given(order=st.permutations(range(12)), sizes=st.lists(st.integers(1, 5), min_size=12, max_size=12))
def test_how_they_are_split_into_pages_does_not_change_how_many_speak(order: list[int], sizes: list[int]) -> None:
    """Twelve reports of one campaign in any order and any pages: three are submitted, nine are covered."""
    story, left, covered = Story(), [make_member(number) for number in order], Counter[bool]()
    for size in sizes:
        page, left = left[:size], left[size:]
        places = story.go_on(page, SECOND) if page else {}
        covered.update(place.covered_by is not None for place in places.values())
    assert covered == {False: 3, True: 9}


def test_looks_by_hand_are_what_they_say() -> None:
    """The tests above stand on fingerprints made by hand: near ones belong together, far ones do not."""
    (campaign,), _ = join_three((), [make_member(1)])
    near = Member(make_key(2), make_fingerprint("two", twist=7))
    far = Member(make_key(3), make_fingerprint("three", twist=60))
    assert join_three((campaign,), [near])[1][near.key].campaign_id == campaign.campaign_id
    assert join_three((campaign,), [far])[1][far.key].campaign_id != campaign.campaign_id
