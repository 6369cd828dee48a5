"""What a history is like: its settings, its troubles and how much of each, drawn once from its seed."""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass, replace

from tests.histories.host import Habits
from tests.histories.microsoft import Fate, Temper
from tests.histories.workers import Weather

MAILBOX = "reports@contoso.example"
OTHER_MAILBOX = "abuse@contoso.example"
ANSWERS = "answers@contoso.example"
WORKERS = 3


class Focus(enum.Enum):
    """What a history is mostly about: some faults need much of one thing in a short time."""

    EVERYTHING = "everything"
    TWINS = "one mail, reported again and again, just before the folder is listed, while Microsoft refuses"
    LOST = "one mail or two, waiting for hours, while answers are lost on both sides"
    REQUESTS = "the same things asked for again and again"


@dataclass
class Character:
    """What a history is like: drawn once, from its seed."""

    focus: Focus
    settings: dict[str, str]
    weather: Weather
    temper: Temper
    habits: Habits
    skews_s: list[float]
    ends: int
    """How often a process ends."""
    freezes: int
    """How often a worker stands still for minutes, with everything that it does."""
    hours: int
    """How often Graph has a bad time."""
    tables_down: int
    """How often the table service answers nothing for minutes."""
    arrivals: int
    days: int
    """How often days pass between arrivals."""
    gap_s: tuple[float, ...]
    mails: int
    is_campaign: bool
    unreadable_mailbox: bool


def character(chance: random.Random) -> Character:
    """Draw what a history is like, with more of what its focus needs."""
    drawn = _any_character(chance)
    drawn.focus = chance.choices(list(Focus), (6, 2, 2, 1))[0]
    if drawn.focus is Focus.TWINS:
        drawn.temper.fates = {Fate.REFUSED: 0.4}
        drawn.mails, drawn.is_campaign, drawn.days = 1, False, 0
        drawn.arrivals, drawn.gap_s = 6, (5.0, 60.0)
    elif drawn.focus is Focus.LOST:
        drawn.temper.fates = {Fate.LOST_AFTER: 0.5, Fate.UNAVAILABLE_AFTER: 0.1}
        drawn.temper.list_fails = chance.choice((0.0, 0.0, 0.5))
        drawn.temper.least_list_lag_s, drawn.temper.list_lag_s = 570.0, 600.0
        drawn.mails, drawn.is_campaign, drawn.days = 3, False, 0
        drawn.arrivals, drawn.gap_s = 6, (5.0, 120.0)
        drawn.weather = replace(drawn.weather, answer_lost=0.2)
    elif drawn.focus is Focus.REQUESTS:
        drawn.habits = replace(drawn.habits, delivers_twice=0.6)
        drawn.gap_s = (1.0, 20.0)
    return drawn


def _any_character(chance: random.Random) -> Character:

    def is_on(likelihood: float) -> bool:
        return chance.random() < likelihood

    fates: dict[Fate, float] = {}
    if is_on(0.8):
        for fate in chance.sample([one for one in Fate if one is not Fate.GOOD], chance.randint(1, 4)):
            fates[fate] = chance.choice((0.05, 0.15, 0.4))
    per_window = chance.choice((4, 6, 8, 12))
    settings = {
        "QUOTA_PER_15_MIN": str(per_window),
        "QUOTA_RESERVED_FOR_PEOPLE": "1",
        "QUOTA_RESERVED_FOR_URGENT": "1",
        "QUOTA_PER_DAY": str(chance.choice((10_000, 10_000, 3 * per_window))),
        "CAMPAIGN_REPRESENTATIVES": str(chance.randint(1, 3)),
        "VERDICT_DEADLINE_HOURS": str(chance.choice((2, 24, 72))),
        "REPORT_DESTINATION": "auto",
        "REPORTING_MAILBOXES": MAILBOX if is_on(0.6) else f"{MAILBOX},{OTHER_MAILBOX}",
        "USER_SUBMISSIONS": "on" if is_on(0.4) else "off",
        "DEFENDER_ALERTS": "on" if is_on(0.3) else "off",
        "HUNTING_QUERY": "EmailEvents" if is_on(0.3) else "",
    }
    has_storage_trouble = is_on(0.5)
    return Character(
        focus=Focus.EVERYTHING,
        settings=settings,
        weather=Weather(
            stall=chance.choice((0.0, 0.0, 0.002, 0.01)),
            storage_fails=chance.choice((0.0, 0.005, 0.02)) if has_storage_trouble else 0.0,
            answer_lost=chance.choice((0.005, 0.02, 0.06)) if has_storage_trouble else 0.0,
            is_slow=chance.choice((0.02, 0.1, 0.4)),
        ),
        temper=Temper(
            fates=fates,
            list_fails=chance.choice((0.0, 0.1, 0.5)),
            mail_fails=chance.choice((0.0, 0.0, 0.03, 0.1)),
            list_lag_s=chance.choice((0.0, 60.0, 300.0, 600.0)),
            verdict_s=chance.choice((300.0, 3_600.0, 4 * 3_600.0)),
            tells_internet_id=is_on(0.5),
            reports_reach_microsoft=is_on(0.25),
        ),
        habits=Habits(
            delivers_twice=chance.choice((0.0, 0.2, 0.5)),
            forgets_to_delete=chance.choice((0.0, 0.1)),
            runs_twice=chance.choice((0.0, 0.1, 0.3)),
            skips=chance.choice((0.0, 0.1)),
        ),
        skews_s=[chance.uniform(-1, 1) for _ in range(WORKERS)] if is_on(0.7) else [0.0] * WORKERS,
        ends=chance.choice((0, 0, 1, 3)),
        freezes=chance.choice((0, 0, 1, 3)),
        hours=chance.choice((0, 0, 1, 2)),
        tables_down=chance.choice((0, 0, 0, 1)),
        arrivals=chance.randint(3, 12),
        days=chance.choice((0, 0, 0, 1, 2)),
        gap_s=chance.choice(((1.0, 20.0), (5.0, 120.0), (1.0, 900.0))),
        mails=chance.randint(1, 4),
        is_campaign=is_on(0.3),
        unreadable_mailbox=is_on(0.2),
    )


def answers(chance: random.Random) -> dict[str, str]:
    """Whether reporters are told, and of what."""
    told = chance.choice(("off", "verdict", "received,verdict"))
    return {} if told == "off" else {"REPORTER_FEEDBACK": told, "FEEDBACK_MAILBOX": ANSWERS}


def calm(settings: dict[str, str], *, arrivals: int = 0) -> Character:
    """What a history is like in which nothing goes wrong by itself."""
    return Character(
        focus=Focus.EVERYTHING,
        settings=settings,
        weather=Weather(is_slow=0.0),
        temper=Temper(verdict_s=600.0),
        habits=Habits(0.0, 0.0, 0.0, 0.0),
        skews_s=[0.0, 0.0, 0.0],
        ends=0,
        freezes=0,
        hours=0,
        tables_down=0,
        arrivals=arrivals,
        days=0,
        gap_s=(1.0, 60.0),
        mails=1,
        is_campaign=False,
        unreadable_mailbox=False,
    )


def drawn(seed: int, name: str) -> random.Random:
    """A stream of draws of its own for each part, so that one part's draws do not shift another's."""
    return random.Random(f"{seed} {name}")  # noqa: S311 - it has to be the same every time
