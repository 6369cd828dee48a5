"""The texts of answers: those that are shipped, and those that an administrator puts in their place.

A file holds one language, in TOML: the table `words`, one for the receipt and for each verdict (`texts/en.toml`). One
in the container `feedback-texts` needs to hold only what it replaces. It is checked when it is read: what is wrong with
a text is told with the file's and the text's name, and the shipped text stands in.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..domain.answers import Stage
from ..domain.model import Verdict
from ..domain.text import clean

FALLBACK = "en"
"""Stands in where a language lacks a text."""
PLACEHOLDERS = frozenset({"subject", "sender"})
NAMES = (Stage.RECEIVED.value, *(verdict.value for verdict in Verdict))
MOST_BYTES = 256 * 1024
_SHIPPED = Path(__file__).parent.parent / "texts"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_LINES = ("subject", "title", "found")
_MOST_CHARACTERS = 2_000
_MOST_PIECES = 12


@dataclass(frozen=True, slots=True)
class Text:
    """One answer: the mail's subject, its heading, what was found, and what to do now, a piece a paragraph."""

    subject: str
    title: str
    found: str
    advice: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerTexts:
    """Every text of a language, complete."""

    language: str
    words: Mapping[str, str]
    texts: Mapping[str, Text]


@dataclass(frozen=True, slots=True)
class TextProblem:
    """What is wrong with a file: which text of it ("" for the whole file), and the rule that it breaks, as a code."""

    file: str
    text: str
    rule: str


class _UnusableText(Exception):
    """A text breaks a rule, which is named by a code."""


@cache
def shipped_texts(language: str) -> AnswerTexts:
    """The texts as they are shipped: of the language, of that without its region, or else English ones."""
    named = (language.lower(), language.lower().partition("-")[0], FALLBACK)
    path = next(path for name in named if (path := _SHIPPED / f"{name}.toml").is_file())
    found = tomllib.loads(path.read_text("utf-8"))
    words, texts = found.pop("words"), {name: _text(found.pop(name)) for name in NAMES}
    if found:
        raise ValueError(f"{path.name} holds more than texts: {', '.join(found)}")
    return AnswerTexts(path.stem, words, texts)


def is_shipped(language: str) -> bool:
    """Whether there are shipped texts in the language, perhaps of another region."""
    return shipped_texts(language).language == language.lower().partition("-")[0]


def file_of(language: str) -> str:
    """The name of a language's file in the container."""
    return f"{language.lower()}.toml"


def replaced_texts(language: str, content: bytes) -> tuple[AnswerTexts, list[TextProblem]]:
    """The language's texts with those of a file in the place of shipped ones, and what is wrong with the file."""
    base, file = shipped_texts(language), file_of(language)
    if len(content) > MOST_BYTES:
        return base, [TextProblem(file, "", "too_large")]
    try:
        found = tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return base, [TextProblem(file, "", "not_toml")]
    words, texts, problems = dict(base.words), dict(base.texts), list[TextProblem]()
    for name, value in found.items():
        try:
            if name == "words":
                words |= _words(value)
            elif name in NAMES:
                texts[name] = _text(value)
            else:
                problems.append(TextProblem(file, name, "unknown_text"))
        except _UnusableText as problem:
            problems.append(TextProblem(file, name, str(problem)))
    if not is_shipped(language):
        problems += [TextProblem(file, name, "missing") for name in ("words", *NAMES) if name not in found]
    return AnswerTexts(language.lower(), words, texts), problems


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with values in the places of their names; what stands in a value is never looked into."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)


def _words(value: Any) -> dict[str, str]:
    known = shipped_texts(FALLBACK).words
    if not isinstance(value, dict) or not value.keys() <= known.keys():
        raise _UnusableText("unknown_word")
    return {name: _line(one) for name, one in value.items()}


def _text(value: Any) -> Text:
    if not isinstance(value, dict) or set(value) != {*_LINES, "advice"}:
        raise _UnusableText("not_subject_title_found_advice")
    advice = value["advice"]
    if not isinstance(advice, list) or not 1 <= len(advice) <= _MOST_PIECES:
        raise _UnusableText("advice_is_no_list")
    lines = {name: _line(value[name]) for name in _LINES}
    return Text(**lines, advice=tuple(_line(piece) for piece in advice))


def _line(value: Any) -> str:
    """One paragraph, of nothing but what can be seen and placeholders that there are."""
    if not isinstance(value, str) or not value.strip() or len(value) > _MOST_CHARACTERS:
        raise _UnusableText("no_text")
    rest = _PLACEHOLDER.sub("", value)
    if not {found[1] for found in _PLACEHOLDER.finditer(value)} <= PLACEHOLDERS or "{" in rest or "}" in rest:
        raise _UnusableText("unknown_placeholder")
    return " ".join(clean(value, _MOST_CHARACTERS).split())
