"""Which originals are one campaign: the same in all that an attacker would have to change, nearly the same in words.

What has to be equal is an exact key, the bucket (`fingerprinting` tells what goes into it). Only the words may differ a
little; a sketch compares them. The invariant: nothing that a sender can copy, words or ids, joins mails of different
buckets. A false join would hide an attack behind another mail's verdict; a missed one only costs a submission.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from dataclasses import dataclass

from .errors import DefenderSubmissionsError

SKETCH = 96
"""Numbers in a sketch. An estimate s has a standard error of sqrt(s * (1 - s) / SKETCH): 0.04 where s is 0.8."""

_NEEDED = ((12, 1.0, 1.0), (100, 0.85, 0.6), (math.inf, 0.72, 0.5))
"""For texts with fewer shingles than this: the similarity needed, and the one needed where an id is shared. In a dozen
words each one counts, in a short text each sentence; one new sentence in ten leaves a similarity of 0.8."""


class UnreadableFingerprint(DefenderSubmissionsError):
    """The text is no fingerprint that `encode` has written: begin a campaign anew."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is kept of an original to recognise its like.

    `bucket` is 32 hex digits: equal buckets are a condition of belonging together. `sketch` holds the `SKETCH` lowest
    hashes (32 bits, ascending) of the text's `size` different shingles, so all of them where there are no more.
    `ids` are digests of the ids under which the mail is known.
    """

    bucket: str
    sketch: tuple[int, ...]
    size: int
    ids: frozenset[str]


# --- Comparing ------------------------------------------------------------------------------------------------------


def similarity(one: Fingerprint, other: Fingerprint) -> float:
    """How much of the words two originals share: shingles in both by shingles in either, estimated, 0 to 1.

    Exact where neither text has more than `SKETCH` shingles. Buckets and ids are not looked at.
    """
    horizon = min(_horizon(one), _horizon(other))
    first, second = ({value for value in each.sketch if value <= horizon} for each in (one, other))
    estimate = len(first & second) / max(len(first | second), 1)
    return min(estimate, min(one.size, other.size) / max(one.size, other.size, 1))


def _horizon(fingerprint: Fingerprint) -> float:
    """Up to which hash the sketch is complete."""
    return fingerprint.sketch[-1] if fingerprint.size > len(fingerprint.sketch) else math.inf


def belongs(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether two originals are of one campaign.

    Not transitive: compare with a campaign's first member, never with the latest, or a chain of small changes leads
    anywhere. Ids can be forged, so a shared one only lowers what the words have to share.
    """
    return one.bucket == other.bucket and similarity(one, other) >= _needed(one, other)


def _needed(one: Fingerprint, other: Fingerprint) -> float:
    needed, needed_with_id = next(row[1:] for row in _NEEDED if min(one.size, other.size) < row[0])
    return needed if one.ids.isdisjoint(other.ids) else needed_with_id


def distance(one: Fingerprint, other: Fingerprint) -> float:
    """How little two members of a campaign have in common, 0 (same words and ids) to 1: far ones represent it best.

    Half of it is that the two share no id, so are not one mail delivered twice.
    """
    is_one_mail = one.ids == other.ids or not one.ids.isdisjoint(other.ids)
    return (1 - similarity(one, other)) / 2 + (0 if is_one_mail else 0.5)


# --- Storing --------------------------------------------------------------------------------------------------------

_HEAD = struct.Struct("<IB16s")
_MOST_IDS = 2
_ID_BYTES = 8


def encode(fingerprint: Fingerprint) -> str:
    """The fingerprint as at most 564 ASCII characters."""
    ids = sorted(fingerprint.ids)
    head = _HEAD.pack(fingerprint.size, len(ids), bytes.fromhex(fingerprint.bucket))
    sketch = struct.pack(f"<{len(fingerprint.sketch)}I", *fingerprint.sketch)
    return base64.b64encode(head + bytes.fromhex("".join(ids)) + sketch).decode("ascii")


def decode(text: str) -> Fingerprint:
    """The fingerprint that `encode` wrote. Raises `UnreadableFingerprint` for every other text."""
    try:
        packed = base64.b64decode(text.encode("ascii"), validate=True)
        size, id_count, bucket = _HEAD.unpack_from(packed)
        ids_end = _HEAD.size + id_count * _ID_BYTES
        ids = [packed[at : at + _ID_BYTES].hex() for at in range(_HEAD.size, ids_end, _ID_BYTES)]
        sketch = struct.unpack(f"<{min(size, SKETCH)}I", packed[ids_end:])
    except (UnicodeEncodeError, binascii.Error, struct.error) as error:
        raise UnreadableFingerprint("no packed fingerprint") from error
    read = Fingerprint(bucket.hex(), sketch, size, frozenset(ids))
    if id_count > _MOST_IDS or encode(read) != text or list(sketch) != sorted(set(sketch)):
        raise UnreadableFingerprint("a packed fingerprint in another order than ours")
    return read
