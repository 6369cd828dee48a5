"""How one copy of a mail differs from the next: what is filled in, and the tricks that hide that it is a copy.

A line of `copies` in the TOML files is words of `TRICKS`, or `charset:` with a name. A copy's text stays what a person
reads: each trick changes only what senders change per recipient, or what a transport adds.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from tests.campaigns.chance import BASE62, Chance
from tests.campaigns.people import Person
from tests.campaigns.templates import Template

TRICKS: Final = {
    "base64": "bodies in base64 instead of quoted-printable",
    "banner": "the tenant's warning about outside mail above the text",
    "classes": "random names of CSS classes",
    "comments": "random HTML comments",
    "display": "another display name of the sender",
    "entities": "letters written as HTML entities",
    "from-subdomain": "a subdomain of the sender's domain",
    "hidden-words": "hidden spans of random words",
    "homoglyphs": "Cyrillic letters that look Latin",
    "html-only": "no text part",
    "local": "another local part at the sender's domain",
    "pixel": "a tracking pixel",
    "preheader": "a random preheader",
    "safelinks": "links rewritten by Safe Links",
    "same-ids": "one message to several recipients: same Message-ID, same network message id",
    "same-message-id": "same Message-ID in a delivery of its own",
    "text-only": "no HTML part",
    "token-in-path": "the token in the path of the link",
    "token-in-query": "the token in the query of the link",
    "token-in-subdomain": "the token as a subdomain of the link's domain",
    "zero-width": "zero-width characters inside words",
}
SAFE_LINKS = "https://eur01.safelinks.protection.outlook.com/"
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f"
CYRILLIC_TWINS = str.maketrans({"a": "\u0430", "e": "\u0435", "o": "\u043e", "p": "\u0440", "c": "\u0441"})
HEX = "0123456789abcdef"
UPPER = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
PLACEHOLDER = re.compile(r"\{(\w+)(?::(\d+))?(?::\w+)?\}")
WORDING = re.compile(r"<([^<>]*\|[^<>]*)>")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a template: for whom, drawn from what, with which tricks."""

    template: Template
    person: Person
    chance: Chance
    tricks: frozenset[str]
    safe_links_for: str
    """The address of the mailbox, which Safe Links writes into each link."""
    through: Callable[[str, Chance], str] | None = None
    """A service that rewrites all links, if one does."""

    @property
    def charset(self) -> str:
        """The charset of its text parts."""
        named = [trick.removeprefix("charset:") for trick in self.tricks if trick.startswith("charset:")]
        return named[0] if named else "utf-8"

    @property
    def parts(self) -> str:
        """The bodies that it has: text, html or both."""
        only = [trick.removesuffix("-only") for trick in self.tricks if trick.endswith("-only")]
        return only[0] if only else self.template.parts

    @property
    def subject(self) -> str:
        """Its subject, filled in."""
        return self.fill(self.template.subject)

    @property
    def display(self) -> str:
        """Its sender's display name."""
        if "display" in self.tricks:
            return self.fill(self.chance.pick("display", self.template.displays))
        return self.fill(self.template.display)

    @property
    def address(self) -> str:
        """Its sender's address."""
        local, _, domain = self.template.address.partition("@")
        if "local" in self.tricks:
            local = self.chance.pick("local", self.template.locals)
        if "from-subdomain" in self.tricks:
            domain = f"{self.chance.pick('subdomain', ('mail', 'bounce', 'm3', 'out'))}.{domain}"
        return self.fill(f"{local}@{domain}").lower()

    def text(self) -> str:
        """Return the filled-in text, its links resolved, its letters disguised where a trick asks for it."""
        filled = self.fill(self.template.text.strip())
        disguised = _outside_links(filled, self._disguise)
        return LINK.sub(lambda match: f"[{match[1]}]({self._link(match[2])})", disguised)

    def fill(self, text: str) -> str:
        """Return the text with its placeholders and wordings drawn; equal placeholders get equal values."""
        worded = WORDING.sub(lambda match: self.chance.pick(match[0], match[1].split("|")), text)
        return PLACEHOLDER.sub(lambda match: self._value(match[0], match[1], int(match[2] or 0)), worded)

    def _value(self, placeholder: str, kind: str, size: int) -> str:
        if kind in {"name", "first", "address", "local"}:
            return str(getattr(self.person, kind))
        if kind in {"date", "time"}:
            return self.chance.moment("due").strftime("%d.%m.%Y" if kind == "date" else "%H:%M")
        if kind == "number":
            return str(1 + self.chance.number(placeholder, size))
        alphabet = {"digits": "0123456789", "hex": HEX, "upper": UPPER}[kind]
        return self.chance.characters(placeholder, size, alphabet)

    def _disguise(self, text: str) -> str:
        if "homoglyphs" in self.tricks:
            return text.translate(CYRILLIC_TWINS)
        if "zero-width" in self.tricks:
            return re.sub(r"[^\W\d_]{2,}", self._split, text)
        return text

    def _split(self, word: re.Match[str]) -> str:
        purpose = f"split {word.start()}"
        at = word.start() + 1 + self.chance.number(purpose, len(word[0]) - 1)
        filler = self.chance.characters(f"{purpose} with", self.chance.number(purpose, 3), ZERO_WIDTH)
        return word.string[word.start() : at] + filler + word.string[at : word.end()]

    def _link(self, target: str) -> str:
        url = self._own_link(target) if target.startswith("/") else self.fill(target)
        if self.through is not None:
            return self.through(url, self.chance)
        return self._rewrite(url) if "safelinks" in self.tricks else url

    def _own_link(self, page: str) -> str:
        token = self.chance.characters(f"token {page}", 18 + self.chance.number("token", 12), BASE62)
        named = [trick.removeprefix("token-in-") for trick in self.tricks if trick.startswith("token-in-")]
        place = named[0] if named else self.template.token
        if place == "subdomain":
            return f"https://{token.lower()}.{self.template.host}{page}"
        return f"https://{self.template.host}{page}{'?id=' if place == 'query' else '/'}{token}"

    def _rewrite(self, url: str) -> str:
        secret = self.chance.characters(f"safelinks {url}", 43)
        opaque = f"05|02|{self.safe_links_for}|{self.chance.characters('data', 32, HEX)}|0|0|Unknown|"
        return f"{SAFE_LINKS}?url={quote(url, safe='')}&data={quote(opaque)}&sdata={secret}%3D&reserved=0"


def describe(tricks: frozenset[str]) -> str:
    """Return in words how a copy with those tricks differs. Raises KeyError for a trick that does not exist."""
    known = [TRICKS[trick] for trick in sorted(tricks) if not trick.startswith("charset:")]
    charsets = [trick.replace(":", " ") for trick in sorted(tricks) if trick.startswith("charset:")]
    return "; ".join(["what is filled in per recipient", *known, *charsets])


def _outside_links(text: str, change: Callable[[str], str]) -> str:
    pieces = re.split(r"(\]\([^)\s]+\)|\S+@\S+)", text)
    return "".join(piece if position % 2 else change(piece) for position, piece in enumerate(pieces))
