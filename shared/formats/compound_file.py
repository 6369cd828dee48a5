"""The storages and streams of a compound file, the container of `.msg` ([MS-CFB]).

A hostile file may share sectors, loop, or claim gigabytes. So nothing is walked further than the file is long: a chain
has at most as many sectors as its size needs, a directory entry is visited once, and no size is believed that exceeds
the file. Why no library does it: docs/decisions/0011-readers-of-hostile-formats.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = bytes.fromhex("d0cf11e0a1b11ae1")
_HEADER = struct.Struct("<28xHHH10xII4xIIII")
_HEADER_SIZE_BYTES = 512
_ENTRY = struct.Struct("<64sHBxIII36xII4x")
_ENTRY_SIZE_BYTES = 128
_LITTLE_ENDIAN = 0xFFFE
_MINI_STREAM_CUTOFF_BYTES = 4096
_MINI_SECTOR_BYTES = 64
_LAST_SECTOR_NUMBER = 0xFFFFFFFA
_NO_ENTRY = 0xFFFFFFFF
_STORAGE, _STREAM, _ROOT = 1, 2, 5


class BrokenCompoundFile(ValueError):
    """The file is no compound file or is damaged; the text tells what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A storage (a folder, `child` being its first entry) or a stream (a file of `size_bytes`) of the container."""

    name: str
    is_storage: bool
    left: int
    right: int
    child: int
    start: int
    size_bytes: int


class CompoundFile:
    """Reads one file; BrokenCompoundFile from any method where the file does not hold together."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._seen: set[int] = set()
        if content[:8] != SIGNATURE or len(content) < _HEADER_SIZE_BYTES:
            raise BrokenCompoundFile("it does not begin as an Outlook file does")
        order, shift, mini_shift, fats, directory, cutoff, mini_fat, mini_fats, difat = _HEADER.unpack_from(content)
        if (order, mini_shift, cutoff) != (_LITTLE_ENDIAN, 6, _MINI_STREAM_CUTOFF_BYTES) or shift not in {9, 12}:
            raise BrokenCompoundFile("its header is damaged")
        self._sector_bytes = 1 << shift
        self._sectors = (len(content) - 1) // self._sector_bytes
        self._fat = self._read_fat(fats, difat)
        self._directory = b"".join(self._read_chain(directory, self._sectors))
        self.root = self._entry(0)
        self._mini_stream = self._read_sized(self.root)
        self._mini_fat = self._read_mini_fat(mini_fat, mini_fats)

    def entries(self, storage: Entry) -> Iterator[Entry]:
        """Every entry of a storage, each once, in no useful order; ask once for each storage."""
        waiting = [storage.child]
        while waiting:
            number = waiting.pop()
            if number == _NO_ENTRY:
                continue
            if number in self._seen:
                raise BrokenCompoundFile("its directory loops")
            self._seen.add(number)
            entry = self._entry(number)
            waiting += (entry.left, entry.right)
            yield entry

    def read(self, stream: Entry) -> bytes:
        """The content of a stream."""
        if stream.size_bytes >= _MINI_STREAM_CUTOFF_BYTES:
            return self._read_sized(stream)
        pieces = self._mini_sectors(stream.start, -(-stream.size_bytes // _MINI_SECTOR_BYTES))
        return self._cut(b"".join(pieces), stream.size_bytes)

    def _read_fat(self, count: int, difat: int) -> tuple[int, ...]:
        """The next sector of each sector. More of it than one number for each sector is never looked at."""
        per_sector = self._sector_bytes // 4
        needed = min(count, -(-self._sectors // per_sector))
        places = list(struct.unpack_from("<109I", self._content, 76))
        while len(places) < needed:
            *more, difat = self._numbers(self._sector(difat))
            places += more
        return self._numbers(b"".join(self._sector(place) for place in places[:needed]))

    def _read_mini_fat(self, start: int, count: int) -> tuple[int, ...]:
        """The next mini sector of each mini sector, no more of it than the mini stream has sectors."""
        mini_sectors = -(-len(self._mini_stream) // _MINI_SECTOR_BYTES)
        needed = min(count, -(-mini_sectors * 4 // self._sector_bytes))
        return self._numbers(b"".join(self._read_chain(start, needed)))

    def _entry(self, number: int) -> Entry:
        if (number + 1) * _ENTRY_SIZE_BYTES > len(self._directory):
            raise BrokenCompoundFile("its directory points outside itself")
        fields = _ENTRY.unpack_from(self._directory, number * _ENTRY_SIZE_BYTES)
        name, name_bytes, kind, left, right, child, start, size_bytes = fields
        if (kind == _ROOT) != (number == 0):
            raise BrokenCompoundFile("its directory has no root, or two")
        text = name[: max(min(name_bytes, 64) - 2, 0)].decode("utf-16-le", "replace")
        return Entry(text, kind == _STORAGE, left, right, child, start, size_bytes if kind in {_STREAM, _ROOT} else 0)

    def _read_sized(self, stream: Entry) -> bytes:
        if stream.size_bytes > len(self._content):
            raise BrokenCompoundFile("a stream claims to be longer than the file")
        count = -(-stream.size_bytes // self._sector_bytes)
        return self._cut(b"".join(self._read_chain(stream.start, count)), stream.size_bytes)

    def _read_chain(self, number: int, limit: int) -> Iterator[bytes]:
        for _ in range(limit):
            if number > _LAST_SECTOR_NUMBER:
                return
            yield self._sector(number)
            number = self._next(self._fat, number)

    def _mini_sectors(self, number: int, count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield self._mini_stream[number * _MINI_SECTOR_BYTES : (number + 1) * _MINI_SECTOR_BYTES]
            number = self._next(self._mini_fat, number)

    def _sector(self, number: int) -> bytes:
        if number >= self._sectors:
            raise BrokenCompoundFile("a sector lies outside the file")
        return self._content[(number + 1) * self._sector_bytes : (number + 2) * self._sector_bytes]

    @staticmethod
    def _next(table: tuple[int, ...], number: int) -> int:
        if number >= len(table):
            raise BrokenCompoundFile("a chain of sectors leaves its table")
        return table[number]

    @staticmethod
    def _numbers(octets: bytes) -> tuple[int, ...]:
        return struct.unpack(f"<{len(octets) // 4}I", octets[: len(octets) // 4 * 4])

    @staticmethod
    def _cut(octets: bytes, size_bytes: int) -> bytes:
        if len(octets) < size_bytes:
            raise BrokenCompoundFile("a stream ends before its claimed size")
        return octets[:size_bytes]
