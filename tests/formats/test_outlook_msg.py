"""`.msg`: whatever is written is read, and whatever else comes is refused in time and memory that the file bounds."""

import functools
import io
import struct
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.formats.outlook_message import (
    MAX_DEPTH,
    MAX_PARTS,
    OutlookAttachment,
    OutlookMessage,
    OutlookRecipient,
    Property,
    RecipientKind,
    UnreadableOutlook,
)
from shared.formats.outlook_mime import write_mime
from shared.formats.outlook_msg import read_outlook_msg
from tests.support.outlook_writer import Storage, message_storage, write_compound_file, write_msg

NETWORK = OutlookMessage({Property.TRANSPORT_HEADERS: "From: a@b\r\n\r\n", Property.BODY: "Hello" * 2_000})

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
times = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
properties = st.fixed_dictionaries(
    {Property.MESSAGE_CLASS: st.just("IPM.Note")},
    optional={
        Property.TRANSPORT_HEADERS: texts,
        Property.BODY: texts | st.just("x" * 5_000),
        Property.HTML: st.binary(max_size=20) | st.just(b"y" * 4_096),
        Property.CLIENT_SUBMIT_TIME: times,
        Property.INTERNET_CODE_PAGE: st.integers(-(2**31), 2**31 - 1),
    },
)
recipients = st.builds(OutlookRecipient, st.sampled_from(RecipientKind), texts, texts.map(lambda text: f"{text}@x"))


def attachments(contents: st.SearchStrategy[bytes | OutlookMessage]) -> st.SearchStrategy[OutlookAttachment]:
    """Attachments of such contents."""
    plain = st.builds(OutlookAttachment, contents, texts, texts)
    inline = st.builds(OutlookAttachment, contents, texts, texts, st.just("id@x"), st.booleans())
    return plain | inline


def messages(depth: int) -> st.SearchStrategy[OutlookMessage]:
    """Messages with messages inside, up to that depth."""
    contents: st.SearchStrategy[bytes | OutlookMessage] = st.binary(max_size=9)
    inner = attachments(contents | messages(depth - 1) if depth else contents)
    return st.builds(
        OutlookMessage,
        properties,
        st.lists(recipients, max_size=2).map(tuple),
        st.lists(inner, max_size=3).map(tuple),
    )


def nested(depth: int) -> OutlookMessage:
    """A message within messages, so many in all."""
    message = OutlookMessage({Property.MESSAGE_CLASS: "IPM.Note", Property.BODY: "innermost"})
    for _ in range(depth - 1):
        message = OutlookMessage({Property.MESSAGE_CLASS: "IPM.Note"}, (), (OutlookAttachment(message),))
    return message


def peak_of(action: Callable[[], object]) -> int:
    """Octets that the action held at most; a refusal counts as an end."""
    tracemalloc.start()
    try:
        action()
    except UnreadableOutlook:
        pass
    finally:
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak_bytes


def with_entry(content: bytes, name: str, **changes: int) -> bytes:
    """The file with fields changed in every directory entry of that name."""
    offsets = {"left": 68, "right": 72, "child": 76, "start": 116, "size": 120}
    patched, mark, place = bytearray(content), name.encode("utf-16-le"), 0
    assert mark in content
    while (place := content.find(mark, place)) >= 0:
        for field, value in changes.items():
            struct.pack_into("<I", patched, place + offsets[field], value)
        place += len(mark)
    return bytes(patched)


def with_header(content: bytes, **changes: int) -> bytes:
    """The file with fields changed in its header."""
    offsets = {"fats": 44, "directory": 48, "mini_fat": 60, "mini_fats": 64, "difat": 68, "difats": 72, "first_fat": 76}
    patched = bytearray(content)
    for field, value in changes.items():
        struct.pack_into("<I", patched, offsets[field], value)
    return bytes(patched)


@settings(max_examples=25)
@given(messages(2))
def test_what_was_written_is_read(message: OutlookMessage) -> None:
    """Any properties, recipients and attachments come back equal."""
    assert read_outlook_msg(write_msg(message)) == message


def storage_of(numbers: dict[int, int], **texts: bytes) -> Storage:
    """A message with those numbers and 8-bit texts, the latter by the hexadecimal number of their property."""
    rows = [struct.pack("<HHI8s", 0x0003, number, 6, struct.pack("<Ixxxx", value)) for number, value in numbers.items()]
    streams: Storage = {f"__substg1.0_{name.removeprefix('p')}001E": octets for name, octets in texts.items()}
    return {"__properties_version1.0": bytes(32) + b"".join(rows), **streams}


PAGE, LOCALE, BODY_PAGE = Property.MESSAGE_CODE_PAGE, Property.MESSAGE_LOCALE, Property.INTERNET_CODE_PAGE


@pytest.mark.parametrize(
    ("numbers", "charset", "text"),
    [
        ({PAGE: 1251, LOCALE: 1041, BODY_PAGE: 65001}, "cp1251", "Привет"),
        ({PAGE: 1200, LOCALE: 1041, BODY_PAGE: 50220}, "cp932", "日本語①"),
        ({LOCALE: 1031, BODY_PAGE: 65001}, "cp1252", "Grüße €"),
        ({LOCALE: 0x0C04, BODY_PAGE: 1252}, "cp950", "帳單"),
        ({LOCALE: 0x0804}, "gbk", "朱镕基"),
        ({LOCALE: 0x0C1A}, "cp1251", "Здраво"),
        ({LOCALE: 0x041A}, "cp1250", "Čao"),
        ({LOCALE: 1081, BODY_PAGE: 1251}, "cp1251", "Привет"),
        ({BODY_PAGE: 20866}, "cp1251", "Привет"),
        ({BODY_PAGE: 28592}, "cp1250", "Zażółć"),
        ({BODY_PAGE: 50220}, "cp932", "日本語"),
        ({BODY_PAGE: 20127}, "cp1252", "Grüße"),
        ({BODY_PAGE: 65001}, "utf-8", "Grüße"),
        ({BODY_PAGE: 65001}, "cp1252", "Grüße"),
        ({}, "cp1252", "Grüße"),
    ],
)
def test_text_in_a_code_page_is_decoded(numbers: dict[int, int], charset: str, text: str) -> None:
    """8-bit text is in the message's own code page, its locale's, the Windows family of its body's, else 1252."""
    storage = storage_of(numbers, p0037=text.encode(charset))
    assert read_outlook_msg(write_compound_file(storage)).properties[Property.SUBJECT] == text


def test_an_html_body_of_8_bits_is_in_the_code_page_of_the_body() -> None:
    """It stays octets under the charset that goes with them, whatever page the other texts are in."""
    html = "<p>Grüße</p>".encode()
    storage = storage_of({LOCALE: 1031, BODY_PAGE: 65001}, p0037="Grüße".encode("cp1252"), p1013=html + b"\0")
    message = read_outlook_msg(write_compound_file(storage))
    assert (message.properties[Property.SUBJECT], message.properties[Property.HTML]) == ("Grüße", html)
    assert b"Content-Type: text/html; charset=utf-8\r\n" in write_mime(message)


def test_large_file_is_read() -> None:
    """Beyond 6.8 MB the table of sectors has a table of its own."""
    message = OutlookMessage({}, (), (OutlookAttachment(bytes(7_500_000)),))
    assert read_outlook_msg(write_msg(message)) == message


def test_olefile_reads_what_is_written_here() -> None:
    """The files under test are valid to another reader, which finds the same streams."""
    olefile = pytest.importorskip("olefile")
    with olefile.OleFileIO(io.BytesIO(write_msg(nested(4))), raise_defects=olefile.DEFECT_UNSURE) as ole:
        inside = "__attach_version1.0_#00000000/__substg1.0_3701000D/"
        assert ole.openstream(inside * 3 + "__substg1.0_1000001F").read().decode("utf-16-le") == "innermost"
        assert ole.parsing_issues == []


def test_an_ole_object_is_an_empty_file() -> None:
    """A chart in a mail is no message; its name is kept."""
    storage = message_storage(OutlookMessage({}, (), (OutlookAttachment(OutlookMessage(), "Chart"),)), is_root=True)
    attachment = storage["__attach_version1.0_#00000000"]
    assert isinstance(attachment, dict)
    attachment["__substg1.0_3701000D"] = {"CONTENTS": b"chart"}
    assert read_outlook_msg(write_compound_file(storage)).attachments == (OutlookAttachment(b"", "Chart"),)


def test_nesting_is_bounded() -> None:
    """Eight messages within each other are read, nine are refused."""
    assert read_outlook_msg(write_msg(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    with pytest.raises(UnreadableOutlook, match="nests more than 8"):
        read_outlook_msg(write_msg(nested(MAX_DEPTH + 1)))


def test_recipients_and_attachments_are_bounded() -> None:
    """As many of both together as MAX_PARTS are read, one more is refused."""
    people = (OutlookRecipient(RecipientKind.TO, "", ""),) * (MAX_PARTS - 1)
    full = read_outlook_msg(write_msg(OutlookMessage({}, people, (OutlookAttachment(b""),))))
    assert len(full.recipients) == MAX_PARTS - 1
    with pytest.raises(UnreadableOutlook, match="more than 3,000"):
        read_outlook_msg(write_msg(OutlookMessage({}, people, (OutlookAttachment(b""),) * 2)))


def test_shared_sectors_are_not_read_twice() -> None:
    """Ten attachments that share one stream's sectors are refused: together they claim more than the file."""
    files = [OutlookAttachment(b"x" * 60_000), *[OutlookAttachment(b"y" * 9_000)] * 9]
    content = write_msg(OutlookMessage({}, (), tuple(files)))
    assert read_outlook_msg(with_entry(content, "__substg1.0_37010102", size=9_000)).attachments
    with pytest.raises(UnreadableOutlook, match="claim more than the whole file"):
        read_outlook_msg(with_entry(content, "__substg1.0_37010102", start=0, size=60_000))


WHOLE = write_msg(NETWORK)
TABLE = WHOLE.index(struct.pack("<3I", 1, 2, 3))
BODY = "__substg1.0_1000001F"
# The table of sectors claims to be half a megabyte long; the one that tells where it lies is sector 0, followed by 0.
LONG_TABLE = with_header(WHOLE[:512], fats=1_000, difats=8, difat=0) + bytes(1_024)
HOSTILE = {
    "empty": (b"", "does not begin"),
    "header alone": (WHOLE[:512], "points outside itself"),
    "word document": (write_compound_file({"WordDocument": b"x" * 5_000}), "an Office document"),
    "half": (WHOLE[: len(WHOLE) // 2], "outside the file"),
    "gigabytes": (with_entry(WHOLE, BODY, size=3 << 30), "more than the whole file"),
    "size beyond its chain": (with_entry(WHOLE, BODY, size=len(WHOLE) - 1_024), "before its claimed size"),
    "sector outside": (with_entry(WHOLE, BODY, start=1 << 20), "outside the file"),
    "root stream of gigabytes": (with_entry(WHOLE, "Root Entry", size=3 << 30), "longer than the file"),
    "root is its own child": (with_entry(WHOLE, "Root Entry", child=0), "an Office document"),
    "sibling loop": (with_entry(WHOLE, BODY, left=3, right=3), "directory loops"),
    "entry outside": (with_entry(WHOLE, BODY, left=1 << 20), "points outside itself"),
    "directory outside": (with_header(WHOLE, directory=1 << 20), "outside the file"),
    "table outside": (with_header(WHOLE, first_fat=1 << 20), "outside the file"),
    "table longer than the file": (LONG_TABLE, "outside the file"),
}


@pytest.mark.parametrize(("content", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused(content: bytes, reason: str) -> None:
    """Claims and loops end as UnreadableOutlook, before memory is taken for what is claimed."""
    with pytest.raises(UnreadableOutlook, match=rf"^the \.msg file .*{reason}"):
        read_outlook_msg(content)
    assert peak_of(lambda: read_outlook_msg(content)) < 10 * len(content) + 100_000


def test_a_small_table_that_claims_to_be_long_is_read_as_far_as_needed() -> None:
    """The table of mini sectors ends with their stream, even if it loops and claims more sectors than the file has."""
    (mini_fat,) = struct.unpack_from("<I", WHOLE, 60)
    looped = bytearray(with_header(WHOLE, mini_fats=2_000))
    struct.pack_into("<I", looped, TABLE + 4 * mini_fat, mini_fat)
    content = bytes(looped)
    assert read_outlook_msg(content) == read_outlook_msg(WHOLE)
    assert peak_of(lambda: read_outlook_msg(content)) < 10 * len(content)


def test_a_loop_of_sectors_is_read_no_further_than_its_stream_is_long() -> None:
    """Where the table sends every sector to itself, a stream is one sector over and over, and nothing hangs."""
    size = 20_000
    looped = WHOLE[:TABLE] + struct.pack("<I", 0) + WHOLE[TABLE + 4 :]
    body = read_outlook_msg(with_entry(looped, BODY, size=size)).properties[Property.BODY]
    assert body == ("Hello" * 2_000)[:256] * (size // 512) + ("Hello" * 2_000)[: size % 512 // 2]


def test_memory_is_bounded_by_the_file() -> None:
    """From file to mail, a large attachment, large bodies or many small parts take a few times their size at most."""
    big = OutlookMessage({}, (), (OutlookAttachment(bytes(100_000)),))
    wordy = OutlookMessage({Property.BODY: "\U0001f600" * 20_000, Property.HTML: b"x" * 80_000})
    many = OutlookMessage({}, (), tuple(OutlookAttachment(b"x", "n", "text/plain") for _ in range(100)))
    for content in map(write_msg, (big, wordy, many)):
        assert peak_of(functools.partial(message_or_refusal, content)) < 6 * len(content)


def message_or_refusal(content: bytes) -> None:
    """Read it and, if it is a message, write the mail."""
    try:
        write_mime(read_outlook_msg(content))
    except UnreadableOutlook:
        return


SMALL = write_msg(OutlookMessage({Property.SUBJECT: "s"}, (), (OutlookAttachment(nested(2), "n"),)))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(SMALL)))
def test_damage_is_refused_or_read(changes: list[tuple[int, int]], end: int) -> None:
    """A valid file with some octets changed or its end cut off gives a mail or UnreadableOutlook."""
    damaged = bytearray(SMALL)
    for place, octet in changes:
        damaged[place] = octet
    message_or_refusal(bytes(damaged))
    message_or_refusal(bytes(damaged[:end]))


@given(st.binary(max_size=600))
def test_any_octets_are_refused_or_read(octets: bytes) -> None:
    """Whatever comes, behind the signature or not, gives a mail or UnreadableOutlook."""
    message_or_refusal(octets)
    message_or_refusal(WHOLE[:8] + octets)


def test_times_out_of_range_are_left_out() -> None:
    """A time beyond the calendar is none."""
    table = bytes(32) + struct.pack("<HHIq", 0x0040, Property.CLIENT_SUBMIT_TIME, 6, 2**63 - 1)
    table += struct.pack("<HHIq", 0x0040, Property.DELIVERY_TIME, 6, 10_000_000)
    message = read_outlook_msg(write_compound_file({"__properties_version1.0": table}))
    assert message.properties == {Property.DELIVERY_TIME: datetime(1601, 1, 1, tzinfo=UTC) + timedelta(seconds=1)}
