"""What a person sees of an HTML body, what stands in it unseen, and what it refers to.

No parser of the standard library: html.parser is slow and has had quadratic corners. Tags, comments and quoted values
are found as the HTML standard (section 13.2.5) does, each unfinished one reaching to the end, so that every character
is looked at once. Style sheets are not applied: hidden is what its own attributes hide. Since mail programs differ in
what they hide, what is taken for hidden is not dropped but told apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

MAX_RAW_CHARACTERS = 200_000
"""Characters of text that are collected, before character references and white space shrink."""
MAX_REFERENCES = 20_000

_RAW = "script|style|title|xmp|iframe|noembed|noframes|textarea"
_ATTRIBUTES = r"(?:[^>=]++|=\s*+(?:\"[^\"]*+\"?|'[^']*+'?)?)*+"
_TOKEN, _TOKEN_IN_RAW = (
    re.compile(
        r"<(?:!(--(?:-?>|(?:[^-]++|-(?!-!?>))*+(?:--!?>)?))"
        rf"|((?i:{raw}))(?=[\s/>])({_ATTRIBUTES})>?((?:[^<]++|<(?!/(?i:\2)(?:[\s/>]|\Z)))*+)"
        rf"|([a-zA-Z][^\s/>]*+)({_ATTRIBUTES})>?"
        r"|/([a-zA-Z][^\s/>]*+)[^>]*+>?((?:\s*+</[a-zA-Z][^>]*+>)*+)"
        r"|[!?/][^>]*+>?)"
    )
    for raw in (_RAW, "script|style")
)
_COMMENT, _RAW_ELEMENT, _NAME, _ELEMENT, _END_NAME, _END = (
    1,
    4,
    5,
    6,
    7,
    8,
)  # groups, the last one of each kind but for the name
_TAG = re.compile(r"<(/?+)([a-zA-Z][^\s/>]*+)")
_ATTRIBUTE = re.compile(r"([^\s\"'=<>/]++)(?:\s*+=\s*+(?:\"([^\"]*+)|'([^']*+)|([^\s>\"']++)))?")
_SHOWN_RAW = frozenset({"xmp", "textarea"})
_PLAIN_TEXT = re.compile(r"<plaintext(?=[\s/>])[^>]*+>?", re.IGNORECASE)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
_INLINE = frozenset(
    {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd"}
    | {"label", "mark", "o:p", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "tt", "u", "var"}
    | {"wbr"}
)
_SEPARATING = re.compile(rf"\s|</(?!(?i:{'|'.join(sorted(_INLINE))})[\s/>])")
_PICTURES = frozenset({"src", "background", "poster", "lowsrc", "dynsrc", "codebase", "archive", "icon", "movie"})
_REFERRING = _PICTURES | frozenset(
    {"href", "action", "formaction", "xlink:href", "o:href", "data", "cite", "ping", "longdesc"}
)
_TOLD = frozenset({"alt", "title", "value", "placeholder", "label", "summary", "content", "srcset", "srcdoc"})
"""Attributes whose text some mail program shows, or that hold links among other things."""
_READ_ATTRIBUTES = _REFERRING | _TOLD | {"style", "hidden"}
_NOT_DISPLAYED = re.compile(r"display\s*+:\s*+none")
_TRANSPARENT = re.compile(r"(?<![\w-])opacity\s*+:\s*+0*+(?:\.0*+)?%?\s*+(?:[;!]|$)")
_VISIBILITY = re.compile(r"visibility\s*+:\s*+(hidden|collapse|visible)")
_NO_HEIGHT = re.compile(r"(?<![\w-])max-height\s*+:\s*+0*+(?:\.0*+)?(?:px|pt|em|%)?\s*+(?:[;!]|$)")
_CUT = re.compile(r"(?<![\w-])overflow(?:-y)?\s*+:\s*+(?:hidden|clip)")
_FONT_SIZE = re.compile(r"(?<![\w-])font(?:-size)?\s*+:\s*+([^;]*+)")
_NO_SIZE = re.compile(r"0++(?:\.0*+)?(?:px|pt|em|rem|ex|%)?(?=[\s/!]|$)")
_NO_FONT_SIZE = re.compile(r"font(?:-size)?\s*+:\s*+0")
_STYLE_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_STYLE_REFERENCE = re.compile(r"url\(\s*+[\"']?+([^\"')]*+)|@import\s*+[\"']([^\"']*+)", re.IGNORECASE)
_STYLE_TEXT = re.compile(r"content\s*+:\s*+[\"']([^\"']*+)", re.IGNORECASE)
_LONG_REFERENCE = re.compile(r"&#0*([0-9]{8,})|&#0+(?=[0-9])")
_MAY_LEAD = re.compile(r"//|@|\\\\|\w\.[^\W\d]{2}|tel:|\d[\d ().-]{5}|&#|href|action|\w{25}", re.IGNORECASE)

_MAX_OPEN = 512  # browsers stop nesting there, too
_MAX_DEPTH = 8
_SHORTEST_ATTRIBUTE = len(" x=y")
_LONGEST_KEPT, _MOST_KEPT = 400, 1_000
_HIDDEN_FOR_GOOD, _WITHOUT_SIZE, _INVISIBLE = 1, 2, 4


@dataclass(frozen=True, slots=True)
class VisibleHtml:
    """The text with a space between blocks, what stands beside it unseen, and what its attributes refer to, as written.

    With each reference stands whether it is a picture that is shown, not followed. `unseen` may be seen in some mail
    program: hidden elements, what stands for pictures, comments for Outlook alone. `is_whole` is False where
    a bound was reached and something was left out.
    """

    text: str
    references: tuple[tuple[str, bool], ...]
    unseen: str = ""
    is_whole: bool = True


def read_html(html: str) -> VisibleHtml:
    """What a person sees of this page, and what else it holds."""
    reader = _Reader()
    reader.read(html)
    plain = _PLAIN_TEXT.search(html)
    if plain is not None:  # all that follows is text (HTML standard, 13.2.5.5), whatever it looks like
        reader.unseen += (" ", html[plain.end() :])
    text, unseen = "".join(reader.texts), "".join(reader.unseen)
    return VisibleHtml(
        unescape(text[:MAX_RAW_CHARACTERS]),
        tuple(reader.references[:MAX_REFERENCES]),
        unescape(unseen[:MAX_RAW_CHARACTERS]),
        reader.is_whole
        and max(len(text), len(unseen)) <= MAX_RAW_CHARACTERS
        and len(reader.references) <= MAX_REFERENCES,
    )


def unescape(text: str) -> str:
    """The text with its character references resolved."""
    if "&" not in text:
        return text
    import html  # noqa: PLC0415 - its table of names is only loaded for mail that needs it

    return html.unescape(_LONG_REFERENCE.sub(lambda found: "\ufffd" if found[1] else "&#", text))


class _Meaning(NamedTuple):
    """What an element's attributes make of it."""

    acts: bool = False
    """Whether it does anything outside of what is hidden; there, the size of a style alone shows something."""
    style: str = ""
    is_hidden: bool = False
    references: tuple[tuple[str, bool], ...] = ()
    """With each, whether it is a picture."""
    unseen: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()


_NOTHING = _Meaning()


class _Reader:
    """What of a page is shown so far, and the elements that are open within one that is hidden."""

    def __init__(self, state: int = 0, depth: int = 0, token: re.Pattern[str] = _TOKEN) -> None:
        self._token = token
        self.texts: list[str] = []
        self.unseen: list[str] = []
        self.references: list[tuple[str, bool]] = []
        self.is_whole = True
        self._depth = depth
        self._state = state
        self._hidden: list[tuple[str, int]] = []  # what is open from the hidden element on, with the state outside
        self._html = ""
        self._hidden_from = self._counted = 0
        self._outside: dict[str, int] = {}  # how many of a name are open, as far as they were counted
        self._meanings: dict[str, _Meaning] = {}

    def read(self, html: str) -> None:  # noqa: C901, PLR0912 - a call for each tag would take most of the time
        """Read the page on."""
        texts, hidden, meanings = self.texts, self._hidden, self._meanings
        self._html = html
        position = 0
        for token in self._token.finditer(html):
            start, end = token.span()
            if start > position:
                (self.unseen if self._state else texts).append(html[position:start])
            position = end
            kind = token.lastindex
            if kind == _ELEMENT:
                name, attributes = token[_NAME].lower(), token[_ELEMENT]
                if name not in _INLINE:
                    texts.append(" ")
                meaning = _NOTHING
                if len(attributes) > _SHORTEST_ATTRIBUTE:
                    meaning = meanings.get(attributes) or self._read_attributes(attributes)
                if meaning.acts or hidden or name == "template":
                    self._begin(name, meaning, start)
            elif kind == _END:
                if token[_END_NAME].lower() not in _INLINE or (token[_END] and _SEPARATING.search(token[_END])):
                    texts.append(" ")
                if hidden:
                    for tag in _TAG.finditer(html, start, end):
                        self._end(tag[2].lower())
            elif kind == _RAW_ELEMENT:
                self._read_raw(token, is_ended=end < len(html))
            elif kind == _COMMENT and "[if" in token[1]:
                self._read_unseen(token[1].partition(">")[2])
        if position < len(html):
            (self.unseen if self._state else texts).append(html[position:])

    def _begin(self, name: str, meaning: _Meaning, start: int) -> None:
        """Begin an element that means something, or stands within one that is hidden."""
        if name == "p" and self._hidden and self._hidden[-1][0] == "p":
            self._end("p")  # the one element whose end is left out all the time
        state = self._take(meaning)
        if name == "template":
            state |= _HIDDEN_FOR_GOOD
        if name in _VOID:
            return
        if not state and not self._hidden:
            return
        if len(self._hidden) < _MAX_OPEN:
            self._hidden_from = self._hidden_from if self._hidden else start
            self.unseen.append(" ")
            self._hidden.append((name, self._state))
            self._state = state
        else:
            self.is_whole = False

    def _end(self, name: str) -> None:
        """Close the innermost element of that name and all within; an end without a beginning counts for nothing."""
        if self._state and name not in _INLINE:
            self.unseen.append(" ")
        if any(one == name for one, _ in self._hidden):
            last = ""
            while last != name:
                last, self._state = self._hidden.pop()
        elif self._hidden and self._is_open_outside(name):
            self._state = self._hidden[0][1]
            self._hidden.clear()

    def _is_open_outside(self, name: str) -> bool:
        """Whether an element of that name is open around the one that is hidden; each tag is counted once."""
        for tag in _TAG.finditer(self._html, self._counted, self._hidden_from):
            one = tag[2].lower()
            self._outside[one] = max(self._outside.get(one, 0) + (-1 if tag[1] else 1), 0)
        self._counted = self._hidden_from
        return self._outside.get(name, 0) > 0

    def _read_raw(self, element: re.Match[str], *, is_ended: bool) -> None:
        """A script or its like: text up to its own end, which it may lack."""
        name, attributes, content = element[2].lower(), element[3], element[4]
        self._begin(name, self._read_attributes(attributes), element.start())
        if name in _SHOWN_RAW:
            (self.unseen if self._state else self.texts).append(content)
        elif name == "style":
            self.references += _style_references(content)
            if "content" in content:
                self.unseen += _STYLE_TEXT.findall(content)
        if "<" in content and not (is_ended and name == "script"):
            self._read_unseen(content, _TOKEN_IN_RAW)
        elif name != "style" and _MAY_LEAD.search(content):
            self.unseen.append(content)

    def _read_unseen(self, html: str, token: re.Pattern[str] = _TOKEN) -> None:
        """Read what some mail program may show for what it leads to."""
        if not _MAY_LEAD.search(html):
            return
        if self._depth >= _MAX_DEPTH:
            self.is_whole = False
            return
        inner = _Reader(_HIDDEN_FOR_GOOD, self._depth + 1, token)
        inner.read(html)
        self.references += inner.references
        self.unseen += (" ", *inner.unseen, " ")
        self.is_whole &= inner.is_whole

    def _read_attributes(self, attributes: str) -> _Meaning:
        meaning = _meaning(attributes)
        if len(attributes) < _LONGEST_KEPT and len(self._meanings) < _MOST_KEPT:
            self._meanings[attributes] = meaning
        return meaning

    def _take(self, meaning: _Meaning) -> int:
        """The state within an element; what its attributes refer to is kept."""
        self.references += meaning.references
        for text in meaning.unseen:
            self.unseen += (" ", text, " ")
        for page in meaning.pages:
            self._read_unseen(page)
        state = self._state | _HIDDEN_FOR_GOOD if meaning.is_hidden else self._state
        return _styled(state, meaning.style) if meaning.style else state


def _attributes(text: str) -> Iterable[tuple[str, ...]]:
    """Name and value, in the group of its quotes, of each attribute; of many, one at a time."""
    if len(text) < _LONGEST_KEPT:
        return _ATTRIBUTE.findall(text)
    return (found.groups("") for found in _ATTRIBUTE.finditer(text))


def _meaning(attributes: str) -> _Meaning:
    style = ""
    is_hidden = False
    references: list[tuple[str, bool]] = []
    unseen: list[str] = []
    pages: list[str] = []
    for name, quoted, single, bare in _attributes(attributes):
        name = name.lower()  # noqa: PLW2901 - the one form in which names are known
        if name not in _READ_ATTRIBUTES:
            continue
        value = quoted or single or bare
        if name == "style":
            written = unescape(value)
            style = written.lower()
            references += _style_references(written)
        elif name in _REFERRING:
            if len(references) <= MAX_REFERENCES:
                references.append((unescape(value), name in _PICTURES))
        elif name == "hidden":
            is_hidden = True
        elif name == "srcdoc":
            pages.append(unescape(value))
        elif name in _TOLD and _MAY_LEAD.search(value):
            unseen.append(unescape(value))
    acts = bool(is_hidden or references or unseen or pages or (style and _may_hide(style)))
    if not acts and "font" not in style and "visib" not in style:
        return _NOTHING
    return _Meaning(acts, style, is_hidden, tuple(references), tuple(unseen), tuple(pages))


def _may_hide(style: str) -> bool:
    return (
        ("display" in style and "none" in style)
        or "visib" in style
        or "opacity" in style
        or "max-height" in style
        or "/*" in style
        or ("font" in style and _NO_FONT_SIZE.search(style) is not None)
    )


def _style_references(style: str) -> list[tuple[str, bool]]:
    if "(" not in style and "@" not in style:
        return []
    return [(one or other, True) for one, other in _STYLE_REFERENCE.findall(style)]


def _styled(state: int, style: str) -> int:
    """The state within an element of this style: a size of nothing ends with the next size, the rest is for good."""
    if "/*" in style:
        style = _STYLE_COMMENT.sub("", style)
    if "display" in style and _NOT_DISPLAYED.search(style):
        state |= _HIDDEN_FOR_GOOD
    if ("opacity" in style and _TRANSPARENT.search(style)) or ("max-height" in style and _is_cut_off(style)):
        state |= _HIDDEN_FOR_GOOD
    for visibility in _VISIBILITY.findall(style) if "visib" in style else ():
        state = state & ~_INVISIBLE if visibility == "visible" else state | _INVISIBLE
    for size in _FONT_SIZE.findall(style) if "font" in style else ():
        state = state | _WITHOUT_SIZE if _NO_SIZE.match(size) else state & ~_WITHOUT_SIZE
    return state


def _is_cut_off(style: str) -> bool:
    """Whether it has no height and hides what stands out of it; without the latter all of it shows (CSS 2.2, 11.1)."""
    return bool(_NO_HEIGHT.search(style) and _CUT.search(style))
