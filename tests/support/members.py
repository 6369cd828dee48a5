"""Members of campaigns for tests: fingerprints made by hand, near or far, of one sending or of another."""

import hashlib
from collections.abc import Iterable

from shared.domain.campaigns import Fingerprint
from shared.domain.model import OutcomeKey
from shared.domain.representatives import Member, Role
from tests.support.outcomes import submission_id

WORDS = 96
"""Shingles of each mail, few enough to be compared exactly."""
DAY = "20261123"


def make_key(number: int) -> OutcomeKey:
    """Return the row of the member with that number."""
    return OutcomeKey(DAY, submission_id(number))


def make_keys(numbers: Iterable[int]) -> list[OutcomeKey]:
    """Return the rows of the members with these numbers."""
    return [make_key(number) for number in numbers]


def make_fingerprint(sent: str, *, lure: str = "parcel", place: str = "mule", twist: int = 0) -> Fingerprint:
    """Return how a mail looks: what was sent, its lure, the place it leads to, how many of its words are its own."""
    own = {_number(f"{sent} {word}") for word in range(twist)}
    shared = {_number(f"{lure} {word}") for word in range(twist, WORDS)}
    return Fingerprint(_digest(place), tuple(sorted(own | shared)), WORDS, frozenset({_digest(sent)[:16]}))


def make_member(
    number: int, *, role: Role = Role.REPORT, sent: str | None = None, lure: str = "parcel", place: str = "mule"
) -> Member:
    """Return the member with that number, a sending of its own unless told; its looks as of `make_fingerprint`."""
    return Member(make_key(number), make_fingerprint(sent or f"sending {number}", lure=lure, place=place), role)


def make_twisted(number: int, twist: int) -> Member:
    """Return a member that differs from the plain mail in so many words."""
    return Member(make_key(number), make_fingerprint(f"sending {number}", twist=twist))


def _number(text: str) -> int:
    return int(_digest(text)[:8], 16)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
