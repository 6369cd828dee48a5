"""`winmail.dat`: whatever is written is read, and whatever else comes is refused in time and memory the file bounds."""

import struct
from datetime import UTC, datetime

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
from shared.formats.winmail import read_winmail
from tests.support.outlook_writer import attribute, padded, write_winmail

EMPTY = struct.pack("<IH", 0x223E9F78, 1)
NOTE: dict[int, object] = {Property.MESSAGE_CLASS: "IPM.Note"}
START = attribute(2, 0x00069002, bytes(14))

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
names = st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=12)


def messages(depth: int) -> st.SearchStrategy[OutlookMessage]:
    """Messages with messages inside, up to that depth."""
    contents: st.SearchStrategy[bytes | OutlookMessage] = st.binary(max_size=9)
    recipients = st.builds(OutlookRecipient, st.sampled_from(RecipientKind), texts, texts.map(lambda text: f"{text}@x"))
    attachments = st.builds(OutlookAttachment, contents | messages(depth - 1) if depth else contents, names, texts)
    properties = st.fixed_dictionaries(
        {Property.MESSAGE_CLASS: st.sampled_from(["IPM.Note", "IPM.Note.SMIME"])},
        optional={
            Property.TRANSPORT_HEADERS: texts,
            Property.HTML: st.binary(max_size=20),
            Property.INTERNET_CODE_PAGE: st.integers(0, 70_000),
            Property.DELIVERY_TIME: st.datetimes(timezones=st.just(UTC), min_value=datetime(1900, 1, 1)),  # noqa: DTZ001
        },
    )
    lists = (st.lists(one, max_size=2).map(tuple) for one in (recipients, attachments))
    return st.builds(OutlookMessage, properties, *lists)


def nested(depth: int) -> OutlookMessage:
    """A message within messages, so many in all."""
    message = OutlookMessage({**NOTE, Property.BODY: "innermost"})
    for _ in range(depth - 1):
        message = OutlookMessage(NOTE, (), (OutlookAttachment(message),))
    return message


def properties_of(*listed: bytes) -> dict[int, object]:
    """What a property list with those properties gives."""
    content = struct.pack("<I", len(listed)) + b"".join(listed)
    return dict(read_winmail(EMPTY + attribute(1, 0x00069003, content)).properties)


@settings(max_examples=25)
@given(messages(2))
def test_what_was_written_is_read(message: OutlookMessage) -> None:
    """Any properties, recipients and attachments come back equal."""
    assert read_winmail(write_winmail(message)) == message


def test_attributes_of_older_times_are_read() -> None:
    """Subject, sender, date and body come from attributes where no property tells them, in the file's code page."""
    sender, address = "Зоя\0".encode("cp1251"), b"SMTP:zoya@a.example\0"
    content = EMPTY + attribute(1, 0x00069007, struct.pack("<II", 1251, 0))
    content += attribute(1, 0x00018004, "Привет\0junk".encode("cp1251")) + attribute(1, 0x0002800C, b"Hello\0")
    content += attribute(1, 0x00038005, struct.pack("<7H", 2024, 2, 3, 4, 5, 6, 0))
    content += attribute(1, 0x00008000, struct.pack("<4H", 4, 60, len(sender), len(address)) + sender + address)
    assert read_winmail(content).properties == {
        Property.SUBJECT: "Привет",
        Property.BODY: "Hello",
        Property.CLIENT_SUBMIT_TIME: datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC),
        Property.SENDER_NAME: "Зоя",
        Property.SENDER_ADDRESS: "zoya@a.example",
    }


def test_a_property_outranks_the_older_attribute() -> None:
    """The subject among the properties holds what the attribute's code page could not, whichever comes first."""
    listed = struct.pack("<IHHII", 1, 0x001F, Property.SUBJECT, 1, 4) + "東京".encode("utf-16-le")
    older, newer = attribute(1, 0x00018004, b"??\0"), attribute(1, 0x00069003, listed)
    for content in (EMPTY + older + newer, EMPTY + newer + older):
        assert read_winmail(content).properties == {Property.SUBJECT: "東京"}


def test_an_attachment_is_read_from_older_attributes() -> None:
    """Title and data make a file; the name that transport kept is the better one."""
    parts = START + attribute(2, 0x00018010, b"LONGNA~1.TXT\0") + attribute(2, 0x0006800F, b"data")
    assert read_winmail(EMPTY + parts).attachments == (OutlookAttachment(b"data", "LONGNA~1.TXT"),)
    parts += attribute(2, 0x00069001, b"long name.txt\0")
    assert read_winmail(EMPTY + parts).attachments == (OutlookAttachment(b"data", "long name.txt"),)
    value = padded("\u6771.txt".encode("utf-16-le"))
    listed = struct.pack("<IHHII", 1, 0x001F, Property.ATTACHMENT_LONG_NAME, 1, 10) + value
    described = attribute(2, 0x00069005, listed)
    for content in (START + described + parts[len(START) :], parts + described):
        assert read_winmail(EMPTY + content).attachments == (OutlookAttachment(b"data", "\u6771.txt"),)


def test_properties_in_between_are_passed_over() -> None:
    """Named properties and those with many values do not hide the next one."""
    guid = bytes(16)
    by_number = struct.pack("<HH", 0x0003, 0x8001) + guid + struct.pack("<III", 0, 7, 1)
    by_name = struct.pack("<HH", 0x000B, 0x8002) + guid + struct.pack("<II", 1, 6) + padded(b"a\0b\0\0\0") + bytes(4)
    many_texts = struct.pack("<HHI", 0x101F, 0x3003, 2) + 2 * (struct.pack("<I", 2) + padded(b"x\0"))
    many_numbers = struct.pack("<HHI", 0x1002, 0x3004, 3) + bytes(12)
    body = struct.pack("<HHII", 0x001E, Property.BODY, 1, 6) + padded(b"Hello\0")
    assert properties_of(by_number, by_name, many_texts, many_numbers, body) == {Property.BODY: "Hello"}


def test_nesting_is_bounded() -> None:
    """Eight messages within each other are read, nine are refused."""
    assert read_winmail(write_winmail(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    with pytest.raises(UnreadableOutlook, match="nests more than 8"):
        read_winmail(write_winmail(nested(MAX_DEPTH + 1)))


def test_recipients_and_attachments_are_bounded() -> None:
    """As many of both together as MAX_PARTS are read, one more is refused."""
    rows = attribute(1, 0x00069004, struct.pack("<I", MAX_PARTS - 1) + bytes(4 * (MAX_PARTS - 1)))
    assert len(read_winmail(EMPTY + rows + START).recipients) == MAX_PARTS - 1
    with pytest.raises(UnreadableOutlook, match="more than 3,000"):
        read_winmail(EMPTY + rows + START + START)


WHOLE = write_winmail(OutlookMessage({**NOTE, Property.SUBJECT: "s"}, (), (OutlookAttachment(b"data", "a.txt"),)))


@pytest.mark.parametrize(
    "content",
    [
        WHOLE + b"\r\n",
        WHOLE + b"\r\n-- \r\nMailing list of the parcel desk\r\n",
        WHOLE + bytes(700),
        WHOLE + b"=",
        WHOLE[:-1],
        WHOLE[:-2],
        WHOLE[:-2] + b"\xff\xff",
        WHOLE.replace(struct.pack("<H", sum(b"data")), b"\0\0"),
    ],
    ids=["line break", "footer", "zeros", "octet", "half a checksum", "no checksum", "wrong last", "wrong within"],
)
def test_what_is_whole_is_read(content: bytes) -> None:
    """What follows the last attribute is the transport's, and a checksum that is wrong or missing spoils nothing."""
    assert read_winmail(content) == read_winmail(WHOLE)
    assert not read_winmail(content).is_cut_off


def test_what_is_cut_off_is_left_out() -> None:
    """A file that ends within an attribute keeps those before; an attachment without its data is none."""
    two = OutlookMessage(NOTE, (), (OutlookAttachment(b"data", "a.txt"), OutlookAttachment(b"more than that", "b.txt")))
    content = write_winmail(two)
    cut = read_winmail(content[: content.index(b"more than") + 4])
    assert (cut.attachments, cut.is_cut_off) == (two.attachments[:1], True)
    assert read_winmail(EMPTY + struct.pack("<BII", 1, 0x0002800C, 0xFFFFFFFF) + b"x") == OutlookMessage(
        is_cut_off=True
    )


def text_property(number: int, octets: bytes) -> bytes:
    """A text of 8 bits in a property list."""
    return struct.pack("<HHII", 0x001E, number, 1, len(octets)) + padded(octets)


def number_property(number: int, value: int) -> bytes:
    """A number in a property list."""
    return struct.pack("<HHI", 0x0003, number, value)


@pytest.mark.parametrize(
    ("pages", "oem", "charset"),
    [
        ({0x3FFD: 932, 0x3FF1: 1031, 0x3FDE: 65001}, 1251, "cp932"),
        ({0x3FF1: 1041, 0x3FDE: 50220}, 1251, "cp932"),
        ({0x3FDE: 20866}, 1251, "cp1251"),
        ({0x3FDE: 20866}, None, "cp1251"),
        ({}, 1251, "cp1251"),
    ],
)
def test_text_is_in_the_code_page_that_is_told_best(pages: dict[int, int], oem: int | None, charset: str) -> None:
    """The message's own, its locale's, attOemCodepage, the Windows family of the body's."""
    text = {"cp932": "日本語", "cp1251": "Привет"}[charset]
    told = [number_property(number, page) for number, page in pages.items()]
    body, name = text_property(Property.BODY, text.encode(charset)), text_property(0x3001, text.encode(charset))
    content = EMPTY + (attribute(1, 0x00069007, struct.pack("<II", oem, 0)) if oem else b"")
    content += attribute(1, 0x00069004, struct.pack("<II", 1, 1) + name)
    content += attribute(1, 0x00069003, struct.pack("<I", len(told) + 1) + body + b"".join(told))
    message = read_winmail(content)
    assert message.properties[Property.BODY] == text
    assert message.recipients[0].name == text


BROKEN = {
    "empty": (b"", "ends inside"),
    "other file": (b"x" * 50, "does not begin as TNEF"),
    "four billion properties": (EMPTY + attribute(1, 0x00069003, b"\xff" * 4), "more than 200,000 values"),
    "four billion recipients": (EMPTY + attribute(1, 0x00069004, b"\xff" * 4), "ends inside"),
    "four billion values": (
        EMPTY + attribute(1, 0x00069003, struct.pack("<IHHI", 1, 0x1003, 0x3001, 0xFFFFFFFF)),
        "ends inside",
    ),
    "four billion texts": (
        EMPTY + attribute(1, 0x00069003, struct.pack("<IHHI", 1, 0x101F, 0x3001, 0xFFFFFFFF)),
        "more than 200,000 values",
    ),
    "unknown type": (EMPTY + attribute(1, 0x00069003, struct.pack("<IHH", 1, 0x0ABC, 0x3001)), "unknown type"),
    "two values": (EMPTY + attribute(1, 0x00069003, struct.pack("<IHHI", 1, 0x1F, 0x37, 2)), "several values"),
    "data before attachment": (EMPTY + attribute(2, 0x0006800F, b"x"), "before the attachment"),
}


@pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN)
def test_broken_files_are_refused(content: bytes, reason: str) -> None:
    """Each kind of damage has its words for the operator."""
    with pytest.raises(UnreadableOutlook, match=rf"^the winmail\.dat cannot be read: .*{reason}"):
        read_winmail(content)


def test_an_impossible_date_is_none() -> None:
    """The 31st of February is no time."""
    content = EMPTY + attribute(1, 0x00038005, struct.pack("<7H", 2024, 2, 31, 4, 5, 6, 0))
    assert read_winmail(content).properties == {}


def message_or_refusal(content: bytes) -> None:
    """Read it and, if it is a message, write the mail."""
    try:
        write_mime(read_winmail(content))
    except UnreadableOutlook:
        return


SMALL = write_winmail(OutlookMessage({Property.SUBJECT: "s"}, (), (OutlookAttachment(nested(2), "n"),)))


def mended(octets: bytearray) -> bytes:
    """The octets with every checksum right that can be found, so that damage gets past them."""
    place = len(EMPTY)
    while place + 9 <= len(octets):
        (size_bytes,) = struct.unpack_from("<I", octets, place + 5)
        end = place + 9 + size_bytes
        if end + 2 > len(octets):
            break
        struct.pack_into("<H", octets, end, sum(octets[place + 9 : end]) & 0xFFFF)
        place = end + 2
    return bytes(octets)


@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(SMALL)))
def test_damage_is_refused_or_read(changes: list[tuple[int, int]], end: int) -> None:
    """A valid file with some octets changed or its end cut off gives a mail or UnreadableOutlook."""
    damaged = bytearray(SMALL)
    for place, octet in changes:
        damaged[place] = octet
    message_or_refusal(bytes(damaged[:end]))
    message_or_refusal(mended(damaged))


@given(st.sampled_from([0x00069003, 0x00069004, 0x00008000, 0x00038005, 0x00069007]), st.binary(max_size=60))
def test_any_octets_are_refused_or_read(number: int, octets: bytes) -> None:
    """Whatever an attribute holds, and whatever stands for a file, gives a mail or UnreadableOutlook."""
    message_or_refusal(octets)
    message_or_refusal(EMPTY + octets)
    message_or_refusal(EMPTY + attribute(1, number, octets))
    message_or_refusal(EMPTY + START + attribute(2, 0x00069005, octets))
