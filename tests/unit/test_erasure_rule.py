"""Which texts hold an address, and what is left of a row."""

import base64
import quopri

import pytest

from shared.domain.erasure import ERASED, Mentions, emptied, keyed_hash
from shared.domain.model import State
from shared.formats.search import any_text
from tests.support.outcomes import make_outcome

ANNA = "anna.o'neil+x@contoso.example"


@pytest.mark.parametrize(
    "text",
    [
        ANNA,
        f"<{ANNA.upper()}>",
        f"mailto:{ANNA}?subject=x",
        f"https://lure.test/?who={ANNA.replace('@', '%40')}&a=1",
        f"Dear {ANNA}.",
        f'"{ANNA}"',
    ],
)
def test_an_address_is_found_however_it_is_written(text: str) -> None:
    """In any case, in links, before a full stop; and what is left does not hold it."""
    mentions = Mentions(ANNA)
    assert mentions.are_in(text)
    assert not mentions.are_in(mentions.without(text))
    assert ERASED in mentions.without(text)


@pytest.mark.parametrize("text", ["", f"x{ANNA}", f"{ANNA}.evil.test", f"{ANNA}x", "anna.o'neil+x@contoso", "Anna"])
def test_another_address_is_left_alone(text: str) -> None:
    """A longer address, or a domain that goes on, is somebody else's."""
    assert Mentions(ANNA).without(text) == text


@pytest.mark.parametrize(
    "content",
    [
        f"To: {ANNA}\r\n\r\nHello".encode(),
        b"To: x\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(f"Dear {ANNA}".encode()),
        b"To: x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + quopri.encodestring(f"Dear\t{ANNA}".encode()),
        f"Subject: =?utf-8?q?{ANNA.replace('@', '=40')}?=\r\n\r\n".encode(),
        b"junk" + ANNA.encode("utf-16-le") + b"junk",
        base64.b64encode(b'{"requestedBy": "' + ANNA.encode() + b'"}'),
        b"Content-Type: message/rfc822\r\n\r\nTo: y\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(ANNA.encode()),
    ],
    ids=["plain", "base64", "quoted-printable", "encoded word", "utf-16", "a message in base64", "a mail in a mail"],
)
def test_a_file_that_shows_the_address_is_found(content: bytes) -> None:
    """As a mail program would show it; the same file without the address is not found."""
    assert any_text(content, Mentions(ANNA).are_in)
    assert not any_text(content, Mentions("ben@contoso.example").are_in)


def test_what_is_left_of_a_row_tells_of_nobody() -> None:
    """Key, states, times and Microsoft's answer; a failed one cannot be replayed."""
    full = make_outcome(state=State.FAILED, state_reason="no_effect", reporter=ANNA, recipient=ANNA, subject="For Anna")
    rest = emptied(full)
    assert (rest.reporter, rest.recipient, rest.subject, rest.state_reason) == (None, None, None, ERASED)
    assert (rest.key, rest.state, rest.received_at) == (full.key, full.state, full.received_at)


def test_the_hash_needs_the_key() -> None:
    """The same for any case of the address, another for another key."""
    assert keyed_hash(b"k", ANNA) == keyed_hash(b"k", ANNA.upper())
    assert keyed_hash(b"k", ANNA) != keyed_hash(b"l", ANNA)
