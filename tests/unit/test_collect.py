"""Folders take turns: one that hangs, fails or rests costs the others nothing but its turn."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from local.memory_storage import MemoryTable
from shared.domain.errors import AnswerLost, GraphError, NotAllowed, Throttled
from shared.ports import ReportPage, ThreatSubmissions
from shared.settings import ReportingMailbox
from shared.stores.checkpoints import CheckpointStore, FolderContents
from shared.stores.looks import LookStore
from shared.usecases.arrivals.collect import LONGEST_TURN_S, RUN_TIME, CollectReports
from shared.usecases.arrivals.destination import ReportDestination
from shared.usecases.arrivals.folder_reports import FolderParts
from shared.usecases.arrivals.sources import Sources
from tests.support.stage import StageClock

BAD, GOOD = "bad@contoso.example", "good@contoso.example"
LONGEST_RUN_S = 300


@dataclass
class EmptyMailboxes:
    """Mailboxes without a report, of which one hangs or fails; `asked` are those whose feed was asked for, in order."""

    error: Exception | None = None
    asked: list[str] = field(default_factory=list)

    async def changes(self, mailbox: str, folder: str, resume: str | None) -> ReportPage:
        """The only page of the feed."""
        del folder, resume
        self.asked.append(mailbox)
        if mailbox == BAD and self.error is None:
            await asyncio.Event().wait()
        if mailbox == BAD and self.error is not None:
            raise self.error
        return ReportPage((), "read", is_last=True)

    async def listed(self, *_: object) -> ReportPage:
        """Nothing."""
        return ReportPage((), "", is_last=True)


@dataclass
class Scene:
    """The use case over these mailboxes, and the time."""

    mail: EmptyMailboxes
    clock: StageClock = field(default_factory=StageClock)
    table: MemoryTable = field(default_factory=MemoryTable)

    async def collect(self) -> int:
        """One run of a process of its own, with a patience of hundredths of a second."""
        nothing = cast(Any, None)
        parts = FolderParts(
            mail=cast(Any, self.mail),
            reader=nothing,
            ledger=nothing,
            admission=nothing,
            checkpoints=CheckpointStore(self.table),
            contents=FolderContents(self.table),
            clock=self.clock,
        )
        use_case = CollectReports(
            tuple(ReportingMailbox(name, "inbox") for name in (BAD, GOOD)),
            destination=ReportDestination("mailbox", cast(ThreatSubmissions, None)),
            sources=Sources((), LookStore(self.table), self.clock),
            parts=parts,
            longest_turn_s=0.05,
        )
        return await use_case.run()


async def test_a_folder_that_hangs_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    """It costs its turn, is told, rests a minute, and comes behind the others then; a run ends in five minutes."""
    caplog.set_level(logging.WARNING)
    scene = Scene(EmptyMailboxes())
    assert await scene.collect() == 0
    (line,) = caplog.messages
    assert "event=mailbox_unreachable" in line
    assert "code=turn_too_long" in line
    scene.clock.advance(seconds=30)
    await scene.collect()
    scene.clock.advance(seconds=45)
    await scene.collect()
    assert scene.mail.asked == [BAD, GOOD, GOOD, GOOD, BAD]
    assert RUN_TIME.total_seconds() + LONGEST_TURN_S < LONGEST_RUN_S


@pytest.mark.parametrize(
    ("error", "rest_s"),
    [
        (Throttled("read", status=429, retry_after_s=600), 600),
        (Throttled("read", status=429), 60),
        (Throttled("read", status=429, retry_after_s=99_999_999), 86_400),
        (NotAllowed("read", status=403), 60),
        (AnswerLost("read", status=503), 60),
    ],
    ids=repr,
)
async def test_a_mailbox_rests_as_long_as_it_asks_for(error: GraphError, rest_s: int) -> None:
    """And a minute where it says nothing; another process knows of it, and the other mailbox is read meanwhile."""
    scene = Scene(EmptyMailboxes(error))
    await scene.collect()
    began_at = scene.clock.time
    for seconds in (rest_s - 5, rest_s + 5):
        scene.clock.time = began_at
        scene.clock.advance(seconds=seconds)
        await scene.collect()
    assert scene.mail.asked.count(BAD) == 2
    assert scene.mail.asked.count(GOOD) == 3


@pytest.mark.expects_error_log
async def test_an_error_of_ours_is_told_and_the_run_ends_well(caplog: pytest.LogCaptureFixture) -> None:
    """As long as another mailbox was read; the mailbox is told by its fingerprint alone."""
    scene = Scene(EmptyMailboxes(KeyError("secret subject")))
    assert await scene.collect() == 0
    lines = [line for line in caplog.messages if "event=mailbox_failed" in line]
    assert len(lines) == 1
    assert "error=KeyError" in lines[0]
    assert "secret" not in lines[0]
