"""Inputs that once took more than ten times their size: floods of small pieces, each of which became an object."""

import pytest

from tests.fuzz.trial import Answered, attempt

HEAD = b"From: <a@b.test>\r\nTo: x@contoso.example\r\nSubject: s\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\n"
SIZE_BYTES = 400_000
HEADER_BYTES = 250_000


def body(unit: bytes, content_type: bytes = b"text/plain; charset=utf-8", encoding: bytes = b"8bit") -> bytes:
    """A mail whose body is this over and over."""
    head = HEAD + b"Content-Type: " + content_type + b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
    return head + unit * (SIZE_BYTES // len(unit))


def header(name: bytes, unit: bytes) -> bytes:
    """A mail with a header that is this over and over."""
    return name + b": " + unit * (HEADER_BYTES // len(unit)) + b"\r\n" + HEAD + b"\r\nHello"


FOUND = {
    "short words": body(b"ab "),
    "words between invisible characters": body(b"ab\x01"),
    "pictographs": body("\N{GRINNING FACE} ".encode()),
    "pictographs in a page": body("\N{GRINNING FACE} ".encode(), b"text/html; charset=utf-8"),
    "base64 between foreign characters": body(b"A=", encoding=b"base64"),
    "attributes of one element in a page": body(b"x=1 ", b"text/html; charset=utf-8\r\nX: y\r\n\r\n<p "),
    "links of one element in a page": body(b"href=1 ", b"text/html; charset=utf-8\r\nX: y\r\n\r\n<p "),
    "a folded header": header(b"Received", b"\r\n "),
    "a folded content type": header(b"Content-Type", b"\r\n "),
    "a list of recipients that are none": header(b"To", b";a=b"),
    "backslashes among recipients": header(b"To", b"\\"),
    "quotes among recipients": header(b"To", b'"a'),
}


@pytest.mark.parametrize("found", FOUND)
@pytest.mark.parametrize("target", ["mail", "report"])
def test_a_flood_of_small_pieces_takes_no_more_memory_than_it_may(target: str, found: str) -> None:
    """Ten times its size and 1 MiB, for each kind of flood that once took more."""
    assert isinstance(attempt(target, FOUND[found], weigh=True), Answered)


@pytest.mark.parametrize(
    ("target", "content"),
    [
        ("subject", "\N{GRINNING FACE}a\x01".encode() * 100_000),
        ("subject", b"\xff" * 1_000_000),
        ("headers", "\N{GRINNING FACE}:".encode() + b"a\r" * 1_000_000),
        ("headers", "from:\N{GRINNING FACE}".encode() + b"a\r" * 1_000_000),
        ("headers", b"from\x80" * 40_000),
    ],
    ids=[
        "pictographs in a subject",
        "undecodable octets in a subject",
        "a name without end",
        "a value without end",
        "a name of odd octets",
    ],
)
def test_what_graph_tells_takes_no_more_memory_than_it_may(target: str, content: bytes) -> None:
    """A subject and a list of headers without end, as only a broken or hostile Graph would tell."""
    assert isinstance(attempt(target, content, weigh=True), Answered)


def test_lines_of_a_reports_text_are_read_one_at_a_time() -> None:
    """A line of two characters is an object of fifty bytes."""
    assert isinstance(attempt("text", b"--\n" * 60_000, weigh=True), Answered)


def test_octets_that_are_no_text_cost_no_call_each() -> None:
    """A header of nothing else: the mend of each octet was a call of our own, a hundred times what it takes now."""
    answered = attempt("report", header(b"Received", b"\x8f"))
    assert isinstance(answered, Answered)
    assert answered.time_s < 0.5
