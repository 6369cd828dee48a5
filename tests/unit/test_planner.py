"""The quota: no window is ever broken, no slot is wasted, and the reserves are kept."""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.planner import (
    CLOCK_MARGIN,
    DAY,
    SLOT_LIFETIME,
    WINDOW,
    DayCount,
    LeftToday,
    Limits,
    Planner,
    Slot,
    has_left_the_window,
    is_unusable,
)
from tests.support.outcomes import NOW, moments

LIMITS = Limits(per_window=150, per_day=10_000, reserved_for_people=10, reserved_for_urgent=20)
SMALL = Limits(per_window=9, per_day=1000, reserved_for_people=2, reserved_for_urgent=3)
HORIZON = timedelta(seconds=75)
RUN_EVERY = timedelta(minutes=1)


def plan(slots: Sequence[Slot], now: datetime = NOW, limits: Limits = LIMITS, **facts: object) -> Planner:
    """Return a planner that looks ahead as dispatch does, with the whole day left."""
    whole_day = LeftToday(limits.per_day, limits.per_day)
    known: dict[str, object] = {"horizon": now + HORIZON, "left_today": whole_day, **facts}
    return Planner.of(limits, list(slots), now=now, **known)  # type: ignore[arg-type]


def take_all(planner: Planner, *, urgent: bool = False) -> list[Slot]:
    """Return every slot that the planner has for rows of that kind."""
    return list(iter(partial(planner.take, urgent=urgent), None))


def most_in_any(span: timedelta, times: Sequence[datetime]) -> int:
    """Return the greatest number of times that lie within any span: at one end, short of the other."""
    return max((sum(start <= at < start + span for at in times) for start in times), default=0)


@dataclass
class Storm:
    """Dispatch every minute for as long as it is told, each slot used at a random moment of its lifetime."""

    chance: Callable[[], float]
    latest_use: timedelta
    limits: Limits = SMALL
    now: datetime = NOW
    slots: list[Slot] = field(default_factory=list)

    def run(self, *, urgent: int, others: int) -> None:
        """One dispatch run with that many rows waiting; a minute passes."""
        self._use_slots()
        self.slots = [slot for slot in self.slots if not is_unusable(slot, self.now)]
        planner = plan([slot for slot in self.slots if not has_left_the_window(slot, self.now)], self.now, self.limits)
        for is_urgent, waiting in ((True, urgent), (False, others)):
            self.slots += itertools.islice(iter(partial(planner.take, urgent=is_urgent), None), waiting)
        self.now += RUN_EVERY

    def sent(self, *, without_urgent: bool = False) -> list[datetime]:
        """The true times of all POSTs so far."""
        return [slot.sent_at for slot in self.slots if slot.sent_at and not (without_urgent and slot.urgent)]

    def _use_slots(self) -> None:
        """Use the slots whose moment came since the last run; one in ten is never used."""
        for place, slot in enumerate(self.slots):
            if slot.sent_at is None and slot.at <= self.now and self.chance() < 0.6:
                until = min(self.now, slot.at + self.latest_use)
                if until >= slot.at and self.now <= slot.latest:
                    sent_at = slot.at + (until - slot.at) * self.chance()
                    self.slots[place] = replace(slot, sent_at=sent_at)


@settings(max_examples=40)
@given(
    chance=st.randoms(use_true_random=True),
    demand=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), min_size=20, max_size=45),
    latest_use=st.sampled_from([timedelta(0), timedelta(seconds=30), SLOT_LIFETIME]),
)
def test_no_window_is_ever_broken(chance: random.Random, demand: list[tuple[int, int]], latest_use: timedelta) -> None:
    """Whatever waits, and whenever a slot is used in its lifetime, no 15 minutes hold more POSTs than allowed."""
    storm = Storm(chance.random, latest_use)
    for urgent, others in demand:
        storm.run(urgent=urgent, others=others)
    assert most_in_any(WINDOW, storm.sent()) <= SMALL.for_anyone
    assert most_in_any(WINDOW, storm.sent(without_urgent=True)) <= SMALL.for_others


@given(st.lists(st.tuples(st.integers(0, 1100), st.booleans()), max_size=14), st.booleans())
def test_a_slot_is_the_first_moment_at_which_the_windows_have_room(used: list[tuple[int, bool]], urgent: bool) -> None:
    """Neither earlier nor later: found again by counting the POSTs before each moment that could be it."""
    slots = [Slot(at := NOW - timedelta(seconds=ago), is_urgent, sent_at=at) for ago, is_urgent in used]
    openings = sorted(slot.earliest + WINDOW + CLOCK_MARGIN for slot in slots)

    def has_room(moment: datetime) -> bool:
        counted = [slot for slot in slots if slot.earliest > moment - WINDOW - CLOCK_MARGIN]
        others = [slot for slot in counted if not slot.urgent]
        return len(counted) < SMALL.for_anyone and (urgent or len(others) < SMALL.for_others)

    first = next(moment for moment in [NOW, *(at for at in openings if at > NOW)] if has_room(moment))
    assert plan(slots, limits=SMALL, horizon=NOW + DAY).take(urgent=urgent) == Slot(first, urgent)


def test_an_idle_quota_may_be_spent_in_one_burst() -> None:
    """Nothing is smoothed: everything that the window leaves to rows that are not urgent goes at once."""
    taken = take_all(plan([]))
    assert {slot.at for slot in taken} == {NOW}
    assert len(taken) == LIMITS.for_others == 120


def test_urgent_rows_have_a_part_that_nobody_else_takes() -> None:
    """In mid-storm, when the others have used all of theirs, twenty urgent rows still go at once."""
    storm = [Slot(NOW - timedelta(minutes=1), urgent=False, sent_at=NOW - timedelta(minutes=1))] * LIMITS.for_others
    planner = plan(storm)
    assert planner.take(urgent=False) is None
    taken = take_all(planner, urgent=True)
    assert len(taken) == LIMITS.reserved_for_urgent
    assert {slot.at for slot in taken} == {NOW}


def test_urgent_rows_may_take_all_but_the_peoples_part() -> None:
    """What is left to people in the portal is used by nobody, not even by urgent rows; urgent ones use up the rest."""
    planner = plan([])
    assert len(take_all(planner, urgent=True)) == LIMITS.for_anyone == 140
    assert planner.take(urgent=False) is None


def test_the_next_slot_is_exactly_a_window_after_the_post_it_follows() -> None:
    """Slot i+N comes no earlier than POST i + 15 minutes, and with demand no later than the margin of two clocks."""
    storm, limits, sent = Storm(itertools.cycle([0.1, 0.7, 0.3, 0.9, 0.5]).__next__, timedelta(seconds=20)), SMALL, []
    for _ in range(120):
        storm.run(urgent=0, others=50)
        storm._use_slots()
        sent = sorted(storm.sent())
    gaps = [later - earlier for earlier, later in zip(sent, sent[limits.for_others :], strict=False)]
    assert min(gaps) >= WINDOW
    planner = plan([Slot(at, urgent=False, sent_at=at) for at in sent[-limits.for_others :]], storm.now, limits)
    planner.horizon = storm.now + DAY
    following = [slot.at for slot in (planner.take(urgent=False) for _ in range(limits.for_others)) if slot]
    due = [max(at + WINDOW + CLOCK_MARGIN, storm.now) for at in sent[-limits.for_others :]]
    assert following == due


def test_in_a_storm_no_slot_is_wasted() -> None:
    """With slots used at once, a thousand rows take the ideal number of windows and nothing more than the margin."""
    storm = Storm(lambda: 0.0, timedelta(0), LIMITS)
    while len(storm.slots) < 1000:
        storm.run(urgent=0, others=1000 - len(storm.slots))
    rounds = -(-1000 // LIMITS.for_others) - 1
    assert max(slot.at for slot in storm.slots) - NOW <= rounds * (WINDOW + CLOCK_MARGIN)


def test_a_slot_not_used_yet_counts_until_the_end_of_its_lifetime() -> None:
    """Its POST may still come, so the next one waits for a window after the last moment at which it can."""
    slots = [Slot(NOW, urgent=False)] * SMALL.for_others
    planner = plan(slots, limits=SMALL, horizon=NOW + DAY)
    slot = planner.take(urgent=False)
    assert slot is not None
    assert slot.at == NOW + SLOT_LIFETIME + WINDOW + CLOCK_MARGIN


def test_a_slot_counts_against_the_windows_of_those_handed_out_for_later() -> None:
    """Room at this moment is not enough: a POST now would be one too many in the window that a later slot ends."""
    later = NOW + timedelta(minutes=1)
    slots = [Slot(later, urgent=True)] * SMALL.for_anyone
    assert plan(slots, limits=SMALL).take(urgent=True) is None
    assert plan(slots[1:], limits=SMALL).take(urgent=True) == Slot(NOW, urgent=True)


@pytest.mark.parametrize("urgent", [True, False])
def test_a_closed_window_admits_nobody_before_its_end(urgent: bool) -> None:
    """Neither urgent rows nor others; one that ended is no obstacle."""
    closed_until = NOW + timedelta(seconds=30)
    slot = plan([], closed_until=closed_until).take(urgent=urgent)
    assert slot is not None
    assert slot.at == closed_until
    assert plan([], closed_until=NOW + HORIZON + timedelta(seconds=1)).take(urgent=urgent) is None
    past = plan([], closed_until=NOW - timedelta(seconds=1)).take(urgent=urgent)
    assert past == Slot(NOW, urgent)


def test_nothing_is_given_beyond_the_horizon() -> None:
    """A slot at the horizon is given, one after it is not, and asking has no effect then."""
    opening = NOW + HORIZON
    used = opening - WINDOW - CLOCK_MARGIN
    slots = [Slot(used, urgent=False, sent_at=used)] * SMALL.for_anyone
    at_the_horizon = plan(slots, limits=SMALL).take(urgent=True)
    assert at_the_horizon == Slot(opening, urgent=True)
    early = plan(slots, limits=SMALL, horizon=opening - timedelta(microseconds=1))
    assert early.take(urgent=True) is None
    assert early.left_today == LeftToday(SMALL.per_day, SMALL.per_day)


@pytest.mark.parametrize("left", [-1, 0, 1, 5])
def test_no_more_is_given_than_the_day_has_left(left: int) -> None:
    """The daily limit counts for urgent rows too."""
    planner = plan([], left_today=LeftToday(left, 0))
    assert len(take_all(planner, urgent=True)) == max(left, 0)


def test_slots_end() -> None:
    """An unused slot is unusable a minute after its lifetime, and any slot leaves the window in the end."""
    unused, used = Slot(NOW, urgent=False), Slot(NOW, urgent=False, sent_at=NOW + timedelta(minutes=1))
    grace_ends = NOW + SLOT_LIFETIME + timedelta(minutes=1)
    assert (is_unusable(unused, grace_ends), is_unusable(unused, grace_ends + timedelta(seconds=1))) == (False, True)
    assert not is_unusable(used, NOW + DAY)
    left = NOW + timedelta(minutes=1) + WINDOW + CLOCK_MARGIN
    assert (has_left_the_window(used, left), has_left_the_window(used, left + timedelta(seconds=1))) == (False, True)


ages_s = st.integers(0, 3 * 24 * 3600) | st.integers(24 * 3600 - 130, 24 * 3600 + 130)


@given(st.lists(ages_s, max_size=40), st.integers(0, 59))
def test_the_day_counts_every_submission_of_the_last_24_hours(ages: list[int], second: int) -> None:
    """Never fewer than were sent in them; and none that is more than a minute and the margin older."""
    now = NOW + timedelta(seconds=second)
    sent = sorted(now - timedelta(seconds=age) for age in ages)
    count = DayCount()
    for at in sent:
        count = count.since_yesterday(at).with_sent(at)
    total = count.since_yesterday(now).total()
    assert total >= sum(at > now - DAY for at in sent)
    assert total <= sum(at > now - DAY - CLOCK_MARGIN - timedelta(minutes=1) for at in sent)


@settings(max_examples=25)
@given(st.integers(1, 20), st.lists(st.integers(0, 4 * 3600), min_size=10, max_size=80))
def test_no_24_hours_ever_hold_more_than_the_daily_limit(per_day: int, pauses_s: list[int]) -> None:
    """Submissions that go only while the count leaves room never exceed the limit in any 24 hours."""
    count, sent, now = DayCount(), [], NOW
    for pause_s in pauses_s:
        now += timedelta(seconds=pause_s)
        count = count.since_yesterday(now)
        if count.total() < per_day:
            count = count.with_sent(now)
            sent.append(now)
    assert most_in_any(DAY, sent) <= per_day


@given(moments)
def test_a_count_is_not_changed_by_counting_on(at: datetime) -> None:
    """The old count stays as it was: it may be that of another dispatcher."""
    count = DayCount()
    assert count.with_sent(at).with_sent(at).total() == 2
    assert count.total() == 0


limits_of_any_size = st.builds(
    lambda window, day, people, urgent: Limits(
        per_window=window,
        per_day=day,
        reserved_for_people=people * window // 100,
        reserved_for_urgent=urgent * (window - people * window // 100 - 1) // 100,
    ),
    st.integers(1, 150),
    st.integers(1, 10_000),
    st.integers(0, 99),
    st.integers(0, 100),
)


@given(limits_of_any_size)
def test_the_days_reserves_are_the_windows_shares(limits: Limits) -> None:
    """Never more than the share, less than one below it, and something is left for rows that are not urgent."""
    people = limits.per_day - limits.for_anyone_a_day
    urgent = limits.for_anyone_a_day - limits.for_others_a_day
    for reserve, of_a_window in ((people, limits.reserved_for_people), (urgent, limits.reserved_for_urgent)):
        assert 0 <= limits.per_day * of_a_window - reserve * limits.per_window < limits.per_window
    assert limits.for_others_a_day >= 1


def test_the_default_reserves_of_a_day() -> None:
    """10 and 20 of 150: of 10,000 a day, 666 are left to people and 1,333 to urgent rows."""
    assert (LIMITS.for_anyone_a_day, LIMITS.for_others_a_day) == (9_334, 8_001)


sendings = st.lists(st.tuples(st.integers(0, 30 * 3600), st.booleans()), max_size=60)


@given(sendings, st.lists(st.booleans(), max_size=8), st.integers(1, 60))
def test_what_is_left_today_is_what_the_counts_leave(
    sent: list[tuple[int, bool]], outstanding: list[bool], per_day: int
) -> None:
    """In all, and for rows that are not urgent: slots that are not counted yet count as well."""
    limits = replace(LIMITS, per_day=per_day)
    count = DayCount()
    for age_s, urgent in sorted(sent, reverse=True):
        count = count.with_sent(NOW - timedelta(seconds=age_s), urgent=urgent)
    slots = [Slot(NOW, urgent) for urgent in outstanding]
    left = count.since_yesterday(NOW).left(limits, slots)
    counted = [urgent for age_s, urgent in sent if age_s <= 24 * 3600] + outstanding
    late = [urgent for age_s, urgent in sent if 24 * 3600 < age_s <= 24 * 3600 + 65]
    others = limits.for_others_a_day - counted.count(False)
    assert limits.for_anyone_a_day - len(counted) - len(late) <= left.anyone <= limits.for_anyone_a_day - len(counted)
    assert others - late.count(False) <= left.others <= others


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2 * 3600)), min_size=20, max_size=120), st.integers(3, 30))
def test_no_day_holds_more_than_its_shares(rows: list[tuple[bool, int]], per_day: int) -> None:
    """Whatever comes when: urgent rows and all together keep below what is left to people, the others below both."""
    limits = Limits(per_window=9, per_day=per_day, reserved_for_people=2, reserved_for_urgent=3)
    count, now = DayCount(), NOW
    sent: list[tuple[datetime, bool]] = []
    for urgent, pause_s in rows:
        now += timedelta(seconds=pause_s)
        count = count.since_yesterday(now)
        if count.left(limits, []).admits(urgent=urgent):
            count = count.with_sent(now, urgent=urgent)
            sent.append((now, urgent))
    assert most_in_any(DAY, [at for at, _ in sent]) <= limits.for_anyone_a_day
    assert most_in_any(DAY, [at for at, urgent in sent if not urgent]) <= limits.for_others_a_day


def test_urgent_rows_go_when_the_others_have_used_their_day() -> None:
    """What is left of the day for them is theirs, and ends as well."""
    planner = plan([], left_today=LeftToday(anyone=3, others=0))
    assert planner.take(urgent=False) is None
    assert len(take_all(planner, urgent=True)) == 3
