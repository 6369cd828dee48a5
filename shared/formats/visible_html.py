"""What a person sees of an HTML body, and what it refers to.

No parser of the standard library: html.parser is slow and has had quadratic corners. Tags, comments and quoted values
are found as the HTML standard (section 13.2.5) does, each unfinished one reaching to the end, so that every character
is looked at once. Style sheets are not applied: hidden is what its own attributes hide.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

MAX_RAW_CHARACTERS = 200_000
"""Characters of text that are collected, before character references and white space shrink."""
MAX_REFERENCES = 2_000

_TOKEN = re.compile(
    r"<(?:!--(?:-?>|(?:[^-]++|-(?!-!?>))*+(?:--!?>)?)"
    r"|([a-zA-Z][^\s/>]*+)((?:[^>=]++|=\s*+(?:\"[^\"]*+\"?|'[^']*+'?)?)*+)>?"
    r"|/([a-zA-Z][^\s/>]*+)[^>]*+>?"
    r"|[!?/][^>]*+>?)"
)
_ATTRIBUTE = re.compile(r"([^\s\"'=<>/]++)(?:\s*+=\s*+(?:\"([^\"]*+)|'([^']*+)|([^\s>\"']++)))?")
_RAW_TEXT = frozenset({"script", "style", "title", "xmp", "iframe", "noembed", "noframes", "textarea"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
_INLINE = frozenset(
    {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd"}
    | {"label", "mark", "o:p", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "tt", "u", "var"}
    | {"wbr"}
)
_REFERRING = frozenset({"href", "src", "action", "background", "formaction", "xlink:href"})
_HIDDEN = re.compile(
    r"display\s*+:\s*+none|visibility\s*+:\s*+(?:hidden|collapse)|mso-hide\s*+:\s*+all"
    r"|(?<![\w-])(?:opacity|max-height)\s*+:\s*+0*+(?:\.0*+)?(?:px|pt|em|%)?\s*+(?:[;!]|$)"
)
_FONT_SIZE = re.compile(r"(?<![\w-])font(?:-size)?\s*+:\s*+([^;]*+)")
_NO_SIZE = re.compile(r"0++(?:\.0*+)?(?:px|pt|em|rem|ex|%)?(?=[\s/!]|$)")
_STYLE_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_LONG_REFERENCE = re.compile(r"&#0*([0-9]{8,})|&#0+(?=[0-9])")

_MAX_OPEN = 512  # browsers stop nesting there, too
_HIDDEN_FOR_GOOD, _WITHOUT_SIZE = 1, 2


@dataclass(frozen=True, slots=True)
class VisibleHtml:
    """The text with a space between blocks, and what its attributes refer to, in order, as written."""

    text: str
    references: tuple[str, ...]


def read_html(html: str) -> VisibleHtml:
    """What a person sees of this page."""
    reader = _Reader()
    position = 0
    while (token := _TOKEN.search(html, position)) is not None:
        if token.start() > position:
            reader.read_text(html, position, token.start())
        position = token.end()
        name, attributes, closed_name = token.groups()
        if name:
            position = _after_raw_text(html, name.lower(), position)
            reader.open(name.lower(), attributes)
        elif closed_name:
            reader.close(closed_name.lower())
    reader.read_text(html, position, len(html))
    return VisibleHtml(unescape("".join(reader.texts)), tuple(reader.references))


def unescape(text: str) -> str:
    """The text with its character references resolved."""
    if "&" not in text:
        return text
    import html  # noqa: PLC0415 - its table of names is only loaded for mail that needs it

    return html.unescape(_LONG_REFERENCE.sub(lambda found: "\ufffd" if found[1] else "&#", text))


def _after_raw_text(html: str, name: str, position: int) -> int:
    """Where tags count again: scripts and their like hold none until their own end, which they may lack."""
    if name not in _RAW_TEXT:
        return position
    found = re.compile(rf"</{name}(?=[\s/>]|\Z)", re.IGNORECASE).search(html, position)
    return found.start() if found else len(html)


class _Reader:
    """The elements that are open, as far as they decide what is hidden."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.references: list[str] = []
        self._collected = 0
        self._state = 0
        self._open: list[tuple[str, int]] = []
        self._open_count: Counter[str] = Counter()

    def read_text(self, html: str, start: int, end: int) -> None:
        if self._state == 0 and self._collected < MAX_RAW_CHARACTERS:
            text = html[start : min(end, start + MAX_RAW_CHARACTERS)]
            self._collected += len(text)
            self.texts.append(text)

    def open(self, name: str, attributes: str) -> None:
        if name not in _INLINE:
            self._separate()
        if name == "p" and self._open and self._open[-1][0] == "p":
            self.close("p")  # the one element whose end is left out all the time
        state = self._state
        if attributes and not attributes.isspace():
            state = self._read_attributes(attributes)
        if name == "template":
            state |= _HIDDEN_FOR_GOOD
        if name not in _VOID and len(self._open) < _MAX_OPEN:
            self._open.append((name, self._state))
            self._open_count[name] += 1
            self._state = state

    def close(self, name: str) -> None:
        """Close the innermost element of that name and all within; an end without a beginning counts for nothing."""
        if name not in _INLINE:
            self._separate()
        while self._open_count[name]:
            last, self._state = self._open.pop()
            self._open_count[last] -= 1
            if last == name:
                return

    def _separate(self) -> None:
        if self.texts and self.texts[-1] != " ":
            self.texts.append(" ")

    def _read_attributes(self, attributes: str) -> int:
        """What these attributes make of the element's visibility; what they refer to is kept."""
        state = self._state
        for found in _ATTRIBUTE.finditer(attributes):
            name = found[1].lower()
            if name in _REFERRING and len(self.references) < MAX_REFERENCES:
                self.references.append(unescape(_value(found)))
            elif name == "style":
                state = _styled(state, unescape(_value(found)))
            elif name == "hidden":
                state |= _HIDDEN_FOR_GOOD
        return state


def _value(attribute: re.Match[str]) -> str:
    return attribute[2] or attribute[3] or attribute[4] or ""


def _styled(state: int, style: str) -> int:
    """The state within an element of this style: a size of nothing ends with the next size, the rest is for good."""
    style = _STYLE_COMMENT.sub("", style).lower() if "/*" in style else style.lower()
    if _HIDDEN.search(style):
        return state | _HIDDEN_FOR_GOOD
    for size in _FONT_SIZE.findall(style):
        state = state | _WITHOUT_SIZE if _NO_SIZE.match(size) else state & ~_WITHOUT_SIZE
    return state
