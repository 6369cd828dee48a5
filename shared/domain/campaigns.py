"""Interim: exact text only, until the real one comes."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Interim."""

    bucket: str
    sketch: tuple[int, ...]
    size: int
    ids: frozenset[str]


def belongs(one: Fingerprint, other: Fingerprint) -> bool:
    """Interim."""
    return one.bucket == other.bucket and one.sketch == other.sketch


def distance(one: Fingerprint, other: Fingerprint) -> float:
    """Interim."""
    return 0.0 if one.sketch == other.sketch else 1.0


def encode(fingerprint: Fingerprint) -> str:
    """Interim."""
    return json.dumps([fingerprint.bucket, fingerprint.sketch, fingerprint.size, sorted(fingerprint.ids)])


def decode(text: str) -> Fingerprint:
    """Interim."""
    bucket, sketch, size, ids = json.loads(text)
    return Fingerprint(bucket, tuple(sketch), size, frozenset(ids))
