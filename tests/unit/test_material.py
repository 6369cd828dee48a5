"""What a row's submission is made of, where there is nothing to make it of."""

from typing import cast

import pytest

from local.memory_storage import MemoryBlobs
from shared.domain.submissions import Material
from shared.ports import MailSource
from shared.usecases.sending.material import MaterialGone, MaterialSource
from tests.support.outcomes import NOW, make_outcome
from tests.support.stage import StageClock


async def test_nothing_is_never_submitted() -> None:
    """A row whose admission was cut off may lack what it was made from: it is rejected, and no POST is spent on it."""
    material = MaterialSource(
        evidence=MemoryBlobs(StageClock(NOW)), mail=cast(MailSource, None), max_submission_bytes=1_000
    )
    with pytest.raises(MaterialGone, match="evidence_gone"):
        await material.order(make_outcome(1), Material())
