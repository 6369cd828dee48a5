"""How far each folder was read, and which reports are still owed."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.memory_storage import MemoryTable
from shared.ports import ReportHead
from shared.stores.checkpoints import Checkpoint, CheckpointStore, DeferredReport
from tests.support.outcomes import NOW, moments

BOX = "reports@contoso.example"


@pytest.fixture
def checkpoints() -> CheckpointStore:
    """Return an empty store."""
    return CheckpointStore(MemoryTable())


def deferred(number: int = 1, folder: str = "inbox", **facts: object) -> DeferredReport:
    """Return a report that could not be read."""
    head = ReportHead(f"AAMk{number}", NOW, "3|x", "bob@contoso.example")
    return DeferredReport(BOX, folder, **{"head": head, "first_failed_at": NOW, **facts})  # type: ignore[arg-type]


async def test_a_folder_that_was_never_read_has_no_checkpoint(checkpoints: CheckpointStore) -> None:
    """It is read from its beginning."""
    assert (await checkpoints.read(BOX, "inbox")).checkpoint is None


@pytest.mark.parametrize("length", [1, 29_999, 30_000, 30_001, 100_000, 400_000])
async def test_a_checkpoint_comes_back_whole(checkpoints: CheckpointStore, length: int) -> None:
    """Also where the delta link is longer than a string property may be."""
    link = "".join(chr(33 + place * 7 % 90) for place in range(length))
    checkpoint = Checkpoint(link, NOW, NOW - timedelta(hours=1))
    await checkpoints.put(BOX, "inbox", checkpoint)
    assert (await checkpoints.read(BOX, "inbox")).checkpoint == checkpoint


async def test_a_shorter_link_leaves_nothing_of_a_longer_one(checkpoints: CheckpointStore) -> None:
    """Each checkpoint replaces the whole of the one before."""
    await checkpoints.put(BOX, "inbox", Checkpoint("x" * 100_000, NOW, NOW))
    for checkpoint in (Checkpoint("y" * 40_000, NOW), Checkpoint(None, NOW)):
        await checkpoints.put(BOX, "inbox", checkpoint)
        assert (await checkpoints.read(BOX, "inbox")).checkpoint == checkpoint


async def test_folders_do_not_mix(checkpoints: CheckpointStore) -> None:
    """Each folder of each mailbox has its own; a mailbox is the same in any case of letters."""
    await checkpoints.put(BOX, "inbox", Checkpoint("a", NOW))
    await checkpoints.put(BOX, "Phish", Checkpoint("b", NOW))
    assert (await checkpoints.read(BOX.upper(), "inbox")).checkpoint == Checkpoint("a", NOW)
    assert (await checkpoints.read("other@contoso.example", "inbox")).checkpoint is None


async def test_a_deferred_report_is_owed_until_it_is_done(checkpoints: CheckpointStore) -> None:
    """Deferred again it keeps its first failure; done twice it is done."""
    one, two = deferred(1), deferred(2)
    await checkpoints.defer([one, two])
    await checkpoints.defer([deferred(1, first_failed_at=NOW + timedelta(hours=1))])
    assert sorted((await checkpoints.read(BOX, "inbox")).deferred, key=repr) == sorted([one, two], key=repr)
    assert (await checkpoints.read(BOX, "other")).deferred == []
    for _ in range(2):
        await checkpoints.done(one)
    assert (await checkpoints.read(BOX, "inbox")).deferred == [two]


async def test_deferred_reports_do_not_hide_the_checkpoint(checkpoints: CheckpointStore) -> None:
    """They stand in the same partition and leave each other alone."""
    await checkpoints.put(BOX, "inbox", Checkpoint("a", NOW))
    await checkpoints.defer([deferred()])
    assert (await checkpoints.read(BOX, "inbox")).checkpoint == Checkpoint("a", NOW)
    assert (await checkpoints.read(BOX, "inbox")).deferred == [deferred()]


@settings(max_examples=30)
@given(st.builds(ReportHead, st.text("aZ09+/=_-", min_size=1), moments, st.text(), st.none() | st.text()))
async def test_a_deferred_reports_head_comes_back(head: ReportHead) -> None:
    """Whatever its subject holds, lone surrogates included."""
    checkpoints = CheckpointStore(MemoryTable())
    await checkpoints.defer([deferred(head=head)])
    assert [one.head for one in (await checkpoints.read(BOX, "inbox")).deferred] == [head]


async def test_a_subject_of_any_length_fits(checkpoints: CheckpointStore) -> None:
    """It is cut: the report's own subject is read again when its turn comes."""
    await checkpoints.defer([deferred(head=ReportHead("a", NOW, "\U0001f3a3" * 40_000, None))])
    (one,) = (await checkpoints.read(BOX, "inbox")).deferred
    assert one.head.subject == "\U0001f3a3" * 1000
