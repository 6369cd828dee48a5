"""One examination from end to end: instruments opened, every line found out, instruments closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from ..settings import Settings
from .examination import examine
from .findings import Finding
from .instruments import open_instruments
from .plan import Options, checks


async def diagnose(settings: Settings, options: Options) -> AsyncIterator[Finding]:
    """The findings, each as soon as it is there, with the identity that this process has."""
    async with AsyncExitStack() as resources:
        tools = await open_instruments(settings, resources)
        async for finding in examine(checks(settings, options, tools)):
            yield finding
