"""Answers as they look: nothing that a stranger wrote does anything in them, and every text is whole."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.model import Verdict
from shared.formats.answer_mail import MOST_SUBJECT, AnswerLetter, answer_mime, unlinked
from shared.formats.answer_texts import NAMES, AnswerTexts, file_of, replaced_texts, shipped_texts

MARK = "answer-" + "0f" * 20
LETTER = AnswerLetter(
    text="malicious",
    sender="answers@contoso.example",
    recipient="bob@contoso.example",
    mark=MARK,
    at=datetime(2026, 12, 1, tzinfo=UTC),
    reported_subject="Your parcel",
    reported_sender="desk@parcel-lure.test",
)
LANGUAGES = ("en", "de")
hostile = st.one_of(
    st.text(st.characters(exclude_categories=[]), max_size=200),
    st.lists(
        st.sampled_from(
            (
                *("{subject}", "{sender}", "<script>", "</td>", "&#x0a;", '"', "'", "\r\nBcc: eve@evil.test\r\n\r\n"),
                *("http://evil.test/a", "www.evil.test", "\u202eexe.", "\x00", "=?utf-8?q?a?=", "eve@evil.test"),
                *("javascript:alert(1)", "file://evil/share", r"\\evil\share", "tel:+1900", "evil。test", "x" * 300),
                *("--===", "\ud800"),
            )
        )
    ).map("".join),
)


def read(letter: AnswerLetter, texts: AnswerTexts | None = None) -> EmailMessage:
    """Return the mail as its reader's program has it."""
    return message_from_bytes(answer_mime(letter, texts or shipped_texts("en")), policy=default)


def body(mail: EmailMessage, kind: str) -> str:
    """Return one of the mail's two bodies."""
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


class Elements(HTMLParser):
    """The elements of a page and their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.found.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        """Keep it."""
        self.text += data


@given(subject=hostile, sender=hostile)
def test_a_strangers_words_change_nothing(subject: str, sender: str) -> None:
    """Headers, structure and elements are the same whatever was reported; no word of it opens or fetches anything."""
    plain = read(LETTER)
    mail = read(replace(LETTER, reported_subject=subject, reported_sender=sender))
    assert [(name, value) for name, value in mail.items() if name != "Content-Type"] == [
        (name, value) for name, value in plain.items() if name != "Content-Type"
    ]
    assert [part.get_content_type() for part in mail.walk()] == [part.get_content_type() for part in plain.walk()]
    assert Elements(body(mail, "html")).found == Elements(body(plain, "html")).found
    assert body(mail, "plain").count("\n") == body(plain, "plain").count("\n")
    for text in (body(mail, "plain"), Elements(body(mail, "html")).text):
        assert text.count(MARK) == 1
        assert not re.search(r"(?i)https?:/|www\.|(?:javascript|tel|file):\S|\w@\w|evil\.test|evil。test|\\\\\w", text)


@given(hostile)
def test_words_are_cut_and_on_one_line(text: str) -> None:
    """At most twice as long as the limit, as each sign may grow by two brackets, and without a break."""
    told = unlinked(text, MOST_SUBJECT)
    assert len(told) <= 3 * MOST_SUBJECT
    assert told == " ".join(told.split())
    told.encode()


def test_a_plain_subject_is_told_as_it_is() -> None:
    """Nobody has to read around brackets that nothing calls for."""
    assert unlinked("Re: Invoice 3.5 of 12:30, for you & me", MOST_SUBJECT) == "Re: Invoice 3.5 of 12:30, for you & me"
    assert unlinked("Grüße, 请确认。谢谢", MOST_SUBJECT) == "Grüße, 请确认[.]谢谢"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_every_text_is_whole_in_every_language(language: str, name: str) -> None:
    """Both bodies say what was found and what to do, in the language that they declare, and carry the mark once."""
    texts = shipped_texts(language)
    mail = read(replace(LETTER, text=name), texts)
    page = Elements(body(mail, "html"))
    assert f'<html lang="{language}">' in body(mail, "html")
    assert mail["Content-Language"] == language
    for text in (body(mail, "plain"), page.text):
        one = texts.texts[name]
        for piece in (one.title, one.found, *one.advice, texts.words["thanks"], "Your parcel", MARK):
            assert piece in text
    assert {tag for tag, _ in page.found} <= {
        *("html", "head", "meta", "title", "style", "body", "table", "tr", "td", "th"),
        *("h1", "h2", "p", "ul", "li", "bdi", "br", "span"),
    }
    assert not {name for _, names in page.found for name in names} & {"href", "src", "background", "action", "onload"}
    assert "url(" not in body(mail, "html")
    assert "@import" not in body(mail, "html")


def test_languages_have_the_same_texts() -> None:
    """A text for the receipt and each verdict, and the same words."""
    english, german = (shipped_texts(language) for language in LANGUAGES)
    assert {*english.texts} == {*german.texts} == {"received", *Verdict}
    assert {*english.words} == {*german.words}


def test_the_mail_is_marked_as_automatic() -> None:
    """RFC 3834's header and Exchange's own; the Message-ID is the mark; lines are short ASCII."""
    mail = read(LETTER)
    assert (mail["From"], mail["To"]) == ("answers@contoso.example", "bob@contoso.example")
    assert (mail["Auto-Submitted"], mail["X-Auto-Response-Suppress"]) == ("auto-generated", "All")
    assert mail["Message-ID"] == f"<{MARK}@contoso.example>"
    octets = answer_mime(LETTER, shipped_texts("de"))
    assert octets.isascii()
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    assert b"\n" not in octets.replace(b"\r\n", b"")


OWN = '[clean]\nsubject = "Fine"\ntitle = "Fine: {subject}"\nfound = "From {sender}."\nadvice = ["Go on."]\n'


def test_a_file_replaces_what_it_holds() -> None:
    """The rest stays as it was shipped."""
    texts, problems = replaced_texts("en", b"\xef\xbb\xbf" + OWN.encode())
    assert problems == []
    assert texts.texts["clean"].title == "Fine: {subject}"
    assert texts.texts["spam"] == shipped_texts("en").texts["spam"]
    assert "Fine: Your parcel" in body(read(replace(LETTER, text="clean"), texts), "plain")
    assert "From desk[@]parcel-lure[.]test." in body(read(replace(LETTER, text="clean"), texts), "html")


@pytest.mark.parametrize(
    ("content", "text", "rule"),
    [
        (OWN.replace("{sender}", "{reporter}"), "clean", "unknown_placeholder"),
        (OWN.replace("{sender}", "{sender"), "clean", "unknown_placeholder"),
        (OWN.replace("{sender}", "{}"), "clean", "unknown_placeholder"),
        (OWN.replace("{sender}", "{sender.name}"), "clean", "unknown_placeholder"),
        (OWN.replace('"Go on."', "7"), "clean", "no_text"),
        (OWN.replace('["Go on."]', '"Go on."'), "clean", "advice_is_no_list"),
        (OWN.replace('subject = "Fine"\n', ""), "clean", "not_subject_title_found_advice"),
        (OWN.replace("[clean]", "[harmless]"), "harmless", "unknown_text"),
        ('[words]\nthanks = ""', "words", "no_text"),
        ('[words]\ngreeting = "Hi"', "words", "unknown_word"),
        ("words = 3", "words", "unknown_word"),
        ("clean = 3", "clean", "not_subject_title_found_advice"),
        ("[clean", "", "not_toml"),
        ("#" * 262_145, "", "too_large"),
        ("a" * 262_145, "", "too_large"),
    ],
)
def test_what_is_wrong_with_a_file_is_named_and_the_shipped_text_stands_in(content: str, text: str, rule: str) -> None:
    """One bad text spoils no other, and the error names file, text and rule."""
    texts, problems = replaced_texts("en", content.encode())
    assert [(one.file, one.text, one.rule) for one in problems] == [("en.toml", text, rule)]
    assert texts.texts == shipped_texts("en").texts
    assert texts.words == shipped_texts("en").words


def test_a_language_that_is_not_shipped_has_english_texts_for_what_it_lacks() -> None:
    """Each text that is missing is named."""
    texts, problems = replaced_texts("fr", OWN.encode())
    assert {one.rule for one in problems} == {"missing"}
    assert {one.text for one in problems} == {"words", *NAMES} - {"clean"}
    assert texts.texts["spam"] == shipped_texts("en").texts["spam"]
    assert file_of("pt-BR") == "pt-br.toml"
    assert shipped_texts("de-AT") == shipped_texts("de")


@given(st.binary(max_size=300))
def test_any_file_has_an_answer(content: bytes) -> None:
    """Whatever stands in the container, there is a text for everything."""
    texts, _ = replaced_texts("de", content)
    assert {*texts.texts} == {*NAMES}
