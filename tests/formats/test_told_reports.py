"""Reports that tell of their original in text: PhishAlarm's quoted headers and usecure's table."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.headers import MAX_HEADER_BYTES, read_headers
from shared.formats.told_reports import MAX_TEXT, ToldFacts, told_facts, told_headers

NETWORK_ID = "49871234-6dc6-43e8-abcd-08d797f20abe"
PHISH_ALARM = f"""\
Reported by anna@contoso.example

---------- Begin Email Headers ----------
Received: from mx.lure.test
 (192.0.2.7) by contoso.example
X-MS-Exchange-Organization-Network-Message-Id: {NETWORK_ID}
X-Sender-IP: 192.0.2.7
From: "Desk" <desk@lure.test>
To: Anna <anna@contoso.example>

Subject: Your
 parcel
Message-ID: <1@lure.test>
---------- End Email Headers ----------

---------- Begin Reported Email ----------
From: somebody@else.test
Subject: not a header
---------- End Reported Email ----------
"""
TOLD = ToldFacts(
    recipient="anna@contoso.example",
    sender="desk@lure.test",
    subject="Your parcel",
    internet_message_id="<1@lure.test>",
    network_message_id=NETWORK_ID,
    sender_ip="192.0.2.7",
)
TABLE = (
    ("Recipient", "anna@contoso.example"),
    ("Sender", "Desk <desk@lure.test>"),
    ("Sender IP", "192.0.2.7"),
    ("Subject", "Your parcel"),
    ("Received At", "2026-11-03 08:00"),
    ("Message ID", "<1@lure.test>"),
    ("Network Message ID", NETWORK_ID.upper()),
)


def test_phish_alarm_quotes_the_headers() -> None:
    """The block between the two lines is the original's headers, and nothing outside of it."""
    headers = read_headers(told_headers(PHISH_ALARM) or b"")
    assert headers.only("from") == '"Desk" <desk@lure.test>'
    assert headers.only("received") == "from mx.lure.test (192.0.2.7) by contoso.example"
    assert not headers.is_cut_off
    assert told_facts(PHISH_ALARM) == TOLD


@pytest.mark.parametrize(
    "text",
    [
        PHISH_ALARM.replace("\n", "\r\n"),
        PHISH_ALARM.replace("\n", "\n\n"),
        PHISH_ALARM.replace("\n (", "\n("),
        PHISH_ALARM.replace("----------", "---").upper().replace(NETWORK_ID.upper(), NETWORK_ID).lower(),
        PHISH_ALARM.partition("---------- End Email")[0],
        PHISH_ALARM.replace("---------- End Email Headers ----------\n", ""),
    ],
    ids=["CRLF", "blank lines", "indents lost", "case and dashes", "cut off", "no end"],
)
def test_quoted_headers_survive_what_mail_programs_do_to_text(text: str) -> None:
    """Line breaks, indents, dashes and a missing end line do not matter."""
    told = told_facts(text)
    assert told is not None
    assert (told.network_message_id, told.sender_ip) == (NETWORK_ID, "192.0.2.7")
    assert (told.sender, told.recipient) == ("desk@lure.test", "anna@contoso.example")


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"{label}: {value}" for label, value in TABLE),
        "\r\n".join(f"{label.upper()}\t{value}" for label, value in TABLE),
        "\n".join(f"{label}\n{value}" for label, value in TABLE),
        "\n\n".join(f"{label}:\n\n{value}" for label, value in TABLE),
        "\n".join(f"| {label} | {value} |".strip("| ") for label, value in TABLE),
        "Hello,\nplease look\n" + "\n".join(f"  {label} : {value}  " for label, value in TABLE) + "\nThank you",
    ],
    ids=["colons", "tabs", "lines", "lines apart", "bars", "among text"],
)
def test_a_table_is_read_in_every_layout(text: str) -> None:
    """Label and value stand beside each other or one below the other."""
    assert told_facts(text) == TOLD


def test_what_a_table_leaves_out_is_not_known() -> None:
    """An empty value is silent and does not take the next label for its value."""
    text = "Recipient:\nSender: desk@lure.test\nSubject:\nMessage ID: <1@lure.test>\nNetwork Message ID:\n" + NETWORK_ID
    assert told_facts(text) == ToldFacts(
        sender="desk@lure.test", internet_message_id="<1@lure.test>", network_message_id=NETWORK_ID
    )


def test_a_value_of_the_wrong_form_is_not_told() -> None:
    """An address, an id or an IP address that is none stays unknown; the first good one counts."""
    text = "Sender: nobody\nmallory@lure.test\nRecipient: anna@contoso.example\n"
    text += "Subject: a\u202eb\nSender IP: 999\nMessage ID: <1@x>\n"
    text += "Network Message ID: 12\nSubject: second"
    assert told_facts(text) == ToldFacts(recipient="anna@contoso.example", subject="ab", internet_message_id="<1@x>")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Please look at this mail, I clicked the link.",
        "Subject: lunch\nSee you there",
        "From: a@b.test\nSent: Monday\nTo: c@d.test\nSubject: forwarded\n\ntext",
        "---------- Begin Email Headers ----------",
        "---------- Begin Email Headers ----------\n---------- End Email Headers ----------",
        "---------- Begin Reported Email ----------\nFrom: a@b.test\n---------- End Reported Email ----------",
    ],
)
def test_other_text_tells_nothing(text: str) -> None:
    """Notes, forwards and empty sections are no facts."""
    assert told_facts(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "-" * 100_000,
        "- " * 40_000,
        "\n--" * 40_000,
        "a\n" * 40_000,
        "Subject:\n" * 30_000,
        "a:" * 40_000,
        "\t" * 100_000,
    ],
)
def test_hostile_text_costs_its_size(text: str) -> None:
    """No text is slow, in or out of the sections."""
    start = time.process_time()
    told_facts(text)
    told_facts(f"---- Begin Email Headers ----\n{text}")
    assert time.process_time() - start < 1


def test_quoted_headers_are_bounded() -> None:
    """More than a mail's headers can be is cut, not refused."""
    block = told_headers("---- Begin Email Headers ----\n" + "From: \u00e4@b.test\n" * MAX_TEXT)
    assert block is not None
    assert len(block) <= MAX_HEADER_BYTES
    assert not read_headers(block).is_cut_off


@given(
    st.lists(st.one_of(st.text(max_size=9), st.sampled_from([*PHISH_ALARM.splitlines(), "Sender", ":", "\t", "\n"])))
)
def test_any_text_has_an_answer(pieces: list[str]) -> None:
    """Whatever the text, nothing raises and nothing invisible is told."""
    for text in ("".join(pieces), "\n".join(pieces)):
        told_headers(text)
        told = told_facts(text)
        assert told is None or "\n" not in (told.subject or "")
