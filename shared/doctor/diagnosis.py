"""One examination from end to end: instruments opened, every line found out, instruments closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from shared.doctor.examination import examine
from shared.doctor.findings import Finding
from shared.doctor.instruments import open_instruments
from shared.doctor.plan import Options, checks
from shared.settings import Settings


async def diagnose(settings: Settings, options: Options) -> AsyncIterator[Finding]:
    """The findings, each as soon as it is there, with the identity that this process has."""
    async with AsyncExitStack() as resources:
        tools = await open_instruments(settings, resources)
        async for finding in examine(checks(settings, options, tools)):
            yield finding
