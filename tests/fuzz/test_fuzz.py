"""A sample of what `make fuzz` tries, and that the fuzzer sees what it is there to see."""

import re
from pathlib import Path

import pytest

from tests.fuzz import trial
from tests.fuzz.campaign import run, shares_of
from tests.fuzz.examples import EXAMPLES
from tests.fuzz.mutations import repair
from tests.fuzz.seeds import collect_seeds, real_mails
from tests.fuzz.targets import TARGETS, read_tnef
from tests.fuzz.trial import Finding, attempt

INPUTS = 3_000
SEED = 4


@pytest.fixture
def traps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add targets that break each promise."""
    broken = {
        "raises": lambda content: content.decode("ascii"),
        "hangs": lambda _: re.match(r"(a|a)*$", "a" * 40 + "b"),
        "hoards": lambda content: [content + b"x" for _ in range(40)],
        "shares": lambda content: [content[:-1] for _ in range(2)],
    }
    monkeypatch.setattr(trial, "TARGETS", broken)
    monkeypatch.setattr(trial, "STOPPED_AFTER_S", 0.2)


def test_any_input_is_answered_in_time_and_within_memory() -> None:
    """No exception but the named ones, at most 2 s and 10 times its size and 1 MiB: for 3,000 inputs."""
    tally = run(INPUTS, collect_seeds(real_mails()), run_seed=SEED)
    kept = [(finding.what, finding.keep()) for finding in tally.findings.values()]
    assert kept == []
    assert tally.count >= INPUTS
    assert tally.weighed.keys() == TARGETS.keys()


@pytest.mark.parametrize(
    ("target", "what"), [("raises", "raised Unicode"), ("hangs", "raised Hangs"), ("hoards", "took "), ("shares", None)]
)
@pytest.mark.usefixtures("traps")
def test_a_broken_promise_is_found(target: str, what: str | None) -> None:
    """An exception, a reader that hangs and one that hoards memory are findings; an honest one is none."""
    answer = attempt(target, b"\xff" * 300_000, weigh=True)
    assert isinstance(answer, Finding) == (what is not None)
    assert what is None or (isinstance(answer, Finding) and answer.what.startswith(what))


@pytest.mark.usefixtures("traps")
def test_memory_is_watched_without_being_asked() -> None:
    """A reader that takes far more memory than the process ever had is found without weighing each input."""
    answer = attempt("hoards", b"\xff" * 10_000_000)
    assert isinstance(answer, Finding)


def test_a_finding_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file holds the input and is named by target and content."""
    monkeypatch.chdir(tmp_path)
    path = Finding("mail", b"From: x", "raised").keep()
    assert path.read_bytes() == b"From: x"
    assert path.name.startswith("mail-")


def test_every_target_has_inputs() -> None:
    """Seeds, examples and a share of the run are there for each target."""
    assert collect_seeds([]).keys() == EXAMPLES.keys() == shares_of(100).keys() == TARGETS.keys()


def test_the_same_run_tries_the_same() -> None:
    """Seeds are the same each time, but for signatures."""
    one, other = collect_seeds([]), collect_seeds([])
    assert all(one[target] == other[target] for target in TARGETS if target not in {"cms", "report"})


def test_repaired_tnef_is_read_again() -> None:
    """A changed octet in an attribute does not keep the reader out."""
    seed = collect_seeds([])["winmail"][0]
    changed = bytearray(seed)
    changed[-8] ^= 0xFF
    assert repair(bytes(changed)) != bytes(changed)
    assert repair(seed) == seed
    read_tnef(repair(bytes(changed)))
