"""One input at one target: whether it is answered, in time and within memory, and what is kept of one that is not.

Time is processor time, because others use the machine too; one that hangs is stopped by a timer of the same time. The
kernel's high-water mark watches the memory of every trial for nothing; where it rises too far, and for a sample, the
input is weighed again octet by octet.
"""

import hashlib
import resource
import signal
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests.fuzz.targets import TARGETS, Target

LONGEST_S = 2.0
STOPPED_AFTER_S = 10.0
MOST_MEMORY_TIMES = 10
MOST_MEMORY_BYTES = 1024 * 1024
KEPT_IN = Path(".local") / "fuzz"


class HangsError(BaseException):
    """The trial was stopped; nothing that catches Exception may go on after it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that broke its promise, and how."""

    target: str
    content: bytes
    what: str

    @property
    def name(self) -> str:
        """A name that the same input always gets."""
        return f"{self.target}-{hashlib.sha256(self.content).hexdigest()[:16]}.bin"

    def keep(self) -> Path:
        """Write the input to a file; returns where."""
        KEPT_IN.mkdir(parents=True, exist_ok=True)
        path = KEPT_IN / self.name
        path.write_bytes(self.content)
        return path


@dataclass(frozen=True, slots=True)
class Answered:
    """An input that kept its promise; `time_s` is processor time, `memory_bytes` is 0 where it was not weighed."""

    time_s: float
    memory_bytes: int = 0


def attempt(target: str, content: bytes, *, weigh: bool = False) -> Answered | Finding:
    """Give the input to the target. A finding tells the exception, the time or the memory."""
    read = TARGETS[target]
    mark_bytes = _high_water_bytes()
    began_s = time.process_time()
    try:
        with _stopped_after(STOPPED_AFTER_S):
            read(content)
    except (Exception, HangsError) as error:  # noqa: BLE001 - every one of them is what is looked for
        return Finding(target, content, f"raised {type(error).__name__}: {str(error)[:200]}")
    time_s = time.process_time() - began_s
    if time_s > LONGEST_S:
        return Finding(target, content, f"took {time_s:.1f} s")
    is_suspect = _high_water_bytes() - mark_bytes > _allowed_bytes(content)
    memory_bytes = weigh_reading(read, content) if weigh or is_suspect else 0
    if memory_bytes > _allowed_bytes(content):
        return Finding(target, content, f"took {memory_bytes:,} bytes for {len(content):,}")
    return Answered(time_s, memory_bytes)


def weigh_reading(read: Target, content: bytes) -> int:
    """The most memory in bytes that is held at once while the content is read, beyond the content itself."""
    tracemalloc.start()
    try:
        read(content)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _allowed_bytes(content: bytes) -> int:
    return MOST_MEMORY_TIMES * len(content) + MOST_MEMORY_BYTES


def _high_water_bytes() -> int:
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes


@contextmanager
def _stopped_after(cpu_s: float) -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise HangsError(f"still at work after {cpu_s:g} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
