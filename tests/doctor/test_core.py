"""The doctor's core: what is tried and what is not, how long it may take, and how it is shown."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.doctor import learning
from shared.doctor.examination import Check, examine
from shared.doctor.findings import Finding, Mark, Result, is_green, learned, not_tried, ok, unclear, wrong
from shared.doctor.ground_checks import clocks
from shared.doctor.plan import NAMES
from shared.doctor.ports import NoAnswerError, Reply, StorageRefusedError
from shared.doctor.rendering import NAME_WIDTH, WIDTH, as_json, line, summary
from shared.doctor.storage_checks import rehearse
from tests.support.stage import StageClock

RUN = Callable[[], Awaitable[Result]]


def answering(result: Result) -> RUN:
    """Return a check's run with that result."""

    async def run() -> Result:
        return result

    return run


async def failing_run() -> Result:
    """Fail as code with a fault in it fails."""
    raise KeyError("secret-4711")


async def silent_run() -> Result:
    """Answer never."""
    await asyncio.Event().wait()
    return ok("never")


async def marks(*checks: Check) -> dict[str, Mark]:
    """Return the marks of an examination, by name."""
    return {finding.name: finding.mark async for finding in examine(checks)}


# --- What is tried --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [wrong("x", "y"), unclear("x")])
async def test_what_needs_a_failed_line_is_not_tried(fault: Result) -> None:
    """Neither is what needs that; each names the line that comes first. What needs neither is tried."""
    found = {
        one.name: one
        async for one in examine(
            [
                Check("a", "t", answering(fault)),
                Check("b", "t", failing_run, ("a",)),
                Check("c", "t", failing_run, ("b",)),
                Check("d", "t", answering(ok("fine"))),
            ]
        )
    }
    assert [found[name].mark for name in "bcd"] == [Mark.NOT_TRIED, Mark.NOT_TRIED, Mark.OK]
    assert found["b"].found == found["c"].found == "a comes first"


async def test_what_a_line_holds_up_is_not_tried() -> None:
    """A line can hold up others by name, and leave those alone that only need it for something else."""
    first = Check("roles", "t", answering(wrong("x", "y", holds_up=("b",))))
    assert await marks(first, Check("b", "t", failing_run), Check("c", "t", answering(ok("")))) == {
        "roles": Mark.WRONG, "b": Mark.NOT_TRIED, "c": Mark.OK
    }  # fmt: skip


async def test_what_was_left_out_by_choice_holds_up_nothing() -> None:
    """An option that was not given is no fault."""
    assert await marks(Check("a", "t", answering(not_tried("x"))), Check("b", "t", answering(ok("")), ("a",))) == {
        "a": Mark.NOT_TRIED, "b": Mark.OK
    }  # fmt: skip


async def test_a_fault_of_the_doctor_is_a_line() -> None:
    """It names the kind of the error and nothing of its text, and the examination goes on."""
    found = [one async for one in examine([Check("a", "t", failing_run), Check("b", "t", answering(ok("")))])]
    assert [one.mark for one in found] == [Mark.UNCLEAR, Mark.OK]
    assert "KeyError" in found[0].found
    assert "4711" not in str(found)


async def test_silence_is_a_line() -> None:
    """What never answers is left after its time."""
    checks = [Check("a", "t", silent_run), Check("b", "t", answering(ok("")))]
    found = [one async for one in examine(checks, 0.01)]
    assert [one.mark for one in found] == [Mark.UNCLEAR, Mark.OK]
    assert found[0].found.startswith("no answer within")


async def test_texts_are_cleaned() -> None:
    """What a service says can neither break a line nor colour a terminal."""
    check = Check("a", "t\n", answering(wrong("x\x1b[31m\r\ny" * 1000, "z\n")))
    (found,) = [one async for one in examine([check])]
    assert not {"\n", "\r", "\x1b"} & set(found.tried + found.found + found.remedy)
    assert len(found.found) <= 1000


# --- Rehearsals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refused", "taken"),
    [("", "put release delete"), ("put", "put"), ("release", "put release delete"), ("delete", "put release delete")],
)
async def test_what_was_put_is_taken_away(refused: str, taken: str) -> None:
    """Whatever fails in between, the last step is taken; where nothing could be put, no other step is."""
    steps: list[str] = []

    def effect(name: str) -> Callable[[], Awaitable[None]]:
        async def take() -> None:
            steps.append(name)
            if name == refused:
                raise StorageRefusedError(403, "AuthorizationPermissionMismatch")

        return take

    told = await rehearse({name: effect(name) for name in ("put", "release", "delete")})
    assert [name for name, _ in told] == [refused] * bool(refused)
    assert steps == taken.split()


# --- How it is shown ------------------------------------------------------------------------------------------------

FINDINGS = [
    Finding("clock", "our clock", Mark.OK, "right"),
    Finding("mailbox", "read x", Mark.WRONG, "403 " + "word " * 40, "Do this. " * 20),
    Finding("learned_created_by", "shape", Mark.LEARNED, "flat"),
]


def test_a_line() -> None:
    """Mark, name, what was tried and what came back stand in columns; what to do stands below, and all is narrow."""
    assert line(FINDINGS[0]) == "ok         clock               our clock: right"
    lines = line(FINDINGS[1]).splitlines()
    assert lines[0].startswith("WRONG      mailbox             read x: 403 word")
    first = next(index for index, text in enumerate(lines) if "->" in text)
    assert lines[first].startswith(" " * 31 + "-> Do this.")
    assert all(text.startswith(" " * 31) for text in lines[1:])
    assert max(map(len, lines)) <= WIDTH


def test_names_fit_their_column() -> None:
    """Every line's name fits, and none is there twice."""
    assert max(map(len, NAMES)) == NAME_WIDTH
    assert len(set(NAMES)) == len(NAMES)


def test_colour_adds_nothing_but_colour() -> None:
    """Without its escape codes a coloured line is the plain one."""
    shown = line(FINDINGS[1], is_coloured=True)
    assert shown != line(FINDINGS[1])
    assert shown.replace("\x1b[1;31m", "").replace("\x1b[0m", "") == line(FINDINGS[1])


def test_the_summary() -> None:
    """It counts each kind of line, and says what to do when it is not green."""
    assert summary([FINDINGS[0], FINDINGS[2]]) == "green: 1 ok, 1 learned"
    assert summary(FINDINGS).startswith("red: 1 ok, 1 WRONG, 1 learned; ")


@pytest.mark.parametrize(
    ("result", "green"),
    [(ok(""), True), (learned(""), True), (not_tried(""), True), (wrong("", ""), False), (unclear(""), False)],
)
def test_what_is_green(result: Result, green: bool) -> None:
    """Right, learned and left out are; wrong and unclear are not."""
    assert is_green([Finding("a", "t", result.mark, "f")]) == green


def test_json() -> None:
    """The same lines for programs."""
    told = json.loads(as_json(FINDINGS))
    assert (told["green"], told["error"]) == (False, None)
    assert told["lines"][0] == {"name": "clock", "tried": "our clock", "mark": "ok", "found": "right", "remedy": ""}


# --- The clock ------------------------------------------------------------------------------------------------------


@dataclass
class ServiceClock:
    """The `Web` port whose only header is the time; it answers after some seconds of the stage's time."""

    clock: StageClock
    ahead_s: float = 0
    takes_s: float = 0
    waits_s: float = 0
    headers: Mapping[str, str] = field(default_factory=dict)

    async def get(self, url: str) -> Reply:
        """Answer with the service's time, of which a header tells whole seconds only."""
        del url
        self.clock.advance(seconds=self.waits_s)
        theirs = (self.clock.time + timedelta(seconds=self.ahead_s)).replace(microsecond=0)
        self.clock.advance(seconds=self.takes_s)
        return Reply(200, self.headers or {"date": format_datetime(theirs.astimezone(UTC), usegmt=True)}, b"")

    async def ask_graph(self, path: str) -> Reply:
        """Give no answer."""
        del path
        raise NoAnswerError("ConnectError")


@pytest.mark.parametrize(
    ("ahead_s", "takes_s", "mark"),
    [
        (0, 0, Mark.OK),
        (2.9, 0, Mark.OK),
        (-2.9, 0, Mark.OK),
        (5, 0, Mark.WRONG),
        (-5, 0, Mark.WRONG),
        (0, 30, Mark.OK),
        (600, 30, Mark.WRONG),
    ],
)
@pytest.mark.parametrize("second", [0.0, 0.5, 0.999])
async def test_how_far_clocks_may_differ(ahead_s: float, takes_s: float, mark: Mark, second: float) -> None:
    """Three seconds, whatever the fraction of a second and however slow the answer: what is told is certain."""
    clock = StageClock(datetime(2026, 11, 23, 12, 0, tzinfo=UTC) + timedelta(seconds=second))
    assert (await clocks(ServiceClock(clock, ahead_s, takes_s), clock, ["url"])).mark is mark


@pytest.mark.parametrize("ahead_s", [-2.9, 0, 2.9])
async def test_a_service_that_lets_wait(ahead_s: float) -> None:
    """It may look at its clock at any moment of the request: half a minute of waiting is no difference."""
    clock = StageClock()
    assert (await clocks(ServiceClock(clock, ahead_s, waits_s=30), clock, ["url"])).mark is Mark.OK


@pytest.mark.parametrize("told", ["", "yesterday", "2026-11-23T12:00:00Z"])
async def test_a_service_that_tells_no_time(told: str) -> None:
    """Without a readable header nothing is known of the clock."""
    clock = StageClock()
    assert (await clocks(ServiceClock(clock, headers={"date": told}), clock, ["url"])).mark is Mark.UNCLEAR


# --- What can be learned --------------------------------------------------------------------------------------------


@dataclass
class Listed:
    """The `Web` port that answers Graph's list with this."""

    rows: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    async def get(self, url: str) -> Reply:
        """Give no answer."""
        del url
        raise NoAnswerError("ConnectError")

    async def ask_graph(self, path: str) -> Reply:
        """Answer with the rows."""
        assert path.startswith("/beta/security/threatSubmission/emailThreats?$top=")
        return Reply(self.status, self.headers, json.dumps({"value": self.rows}).encode())


async def test_both_shapes_of_created_by() -> None:
    """Nested, flat, neither and absent are told apart, and rows without a message id are counted."""
    rows = [
        {"createdBy": {"user": {"email": "a@x.example"}}, "internetMessageId": "<1>"},
        {"createdBy": {"email": "a@x.example"}},
        {"createdBy": {"email": "b@x.example"}},
        {"createdBy": {"robot": 1}},
        {"createdBy": None},
        "strange",
    ]
    found = (await learning.creators(Listed(rows))).found
    assert found == (
        "flat in 2, nested in 1, strange in 1, absent in 1 of 5 submissions; 4 without an internet message id"
    )
    assert "@" not in found


@pytest.mark.parametrize("rows", [[], None, 7, [1, 2]])
async def test_nothing_to_learn_from(rows: object) -> None:
    """An empty or strange list teaches nothing, and that is no fault."""
    result = await learning.creators(Listed(rows))
    assert (result.mark, "nothing yet" in result.found) == (Mark.LEARNED, True)


async def test_limits_in_headers() -> None:
    """Headers that tell of limits are shown, no others."""
    headers = {"ratelimit-remaining": "7", "x-ms-throttle-scope": "Tenant", "set-cookie": "secret", "date": "now"}
    assert (await learning.limits(Listed([], headers=headers))).found == (
        "ratelimit-remaining: 7, x-ms-throttle-scope: Tenant"
    )
    assert (await learning.limits(Listed([]))).found == "none"


@pytest.mark.parametrize(("status", "told"), [(200, "taken"), (400, "refused with 400")])
async def test_the_filter(status: int, told: str) -> None:
    """Whether the list takes its documented filter is told."""
    assert (await learning.filters(Listed([], status), StageClock())).found.startswith(told)


async def test_no_answer_to_learn_from() -> None:
    """A Graph that does not answer now is no fault here: other lines tell."""
    web = ServiceClock(StageClock())
    for result in (await learning.limits(web), await learning.filters(web, StageClock()), await learning.creators(web)):
        assert result.mark is Mark.LEARNED
