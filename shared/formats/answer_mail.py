"""The mail that tells a reporter: MIME, as text and as HTML, with nothing of the reported mail but two lines of text.

Subject and sender of the reported mail are strangers' words. They are cleaned, cut and written so that no mail program
makes a link of them, and they stand in the body alone. The mail is marked as automatic (RFC 3834, and Exchange's
`X-Auto-Response-Suppress`, MS-OXCMAIL section 2.2.3.2.14), so that nothing answers it. Its mark is its Message-ID and
stands in the text as well, because a server may replace a Message-ID. Nothing in it is fetched from anywhere.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

from ..domain.model import Verdict
from ..domain.text import clean, domain_of
from .answer_texts import AnswerTexts, filled

MOST_SUBJECT = 120
MOST_SENDER = 100
_SCHEME = re.compile(r"(?i)([a-z]+(?=:[/\\]{2})|file|mailto|tel|sms|callto|sips?|javascript|data|news|skype):(?=\S)")
_DOT = re.compile(r"(?<=[^\W\d_])[.\u3002\uff0e\uff61](?=\w)|(?<=\w)[.\u3002\uff0e\uff61](?=[^\W\d_])")
_SHARE = re.compile(r"\\\\(?=\S)")
_AT = re.compile(r"(?<=\S)[@\uff20\ufe6b](?=\S)")


class Tone(enum.Enum):
    """How serious an answer is: the colour of its edge on light and on dark ground. The words say the same."""

    DANGER = "#b10e1c"
    CAUTION = "#9d5d00"
    GOOD = "#0e700e"
    NEWS = "#0f548c"


_TONES: Mapping[str, Tone] = {
    Verdict.MALICIOUS: Tone.DANGER,
    Verdict.SPOOF: Tone.DANGER,
    Verdict.IMPERSONATION: Tone.DANGER,
    Verdict.AUTHENTICATION_FAILURE: Tone.CAUTION,
    Verdict.ALLOWED_BY_OVERRIDE: Tone.CAUTION,
    Verdict.UNDETERMINED: Tone.CAUTION,
    Verdict.NOT_FOUND: Tone.CAUTION,
    Verdict.NOT_RECEIVED: Tone.CAUTION,
    Verdict.CLEAN: Tone.GOOD,
    Verdict.SIMULATION: Tone.GOOD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLetter:
    """What an answer says: the name of its text, and the reported mail's own words."""

    text: str
    sender: str
    recipient: str
    mark: str
    at: datetime
    reported_subject: str | None = None
    reported_sender: str | None = None


def answer_mime(letter: AnswerLetter, texts: AnswerTexts) -> bytes:
    """The whole mail in MIME form, lines of ASCII of at most 78 characters."""
    page = _Page(letter, texts)
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(addr_spec=letter.sender)
    mail["To"] = Address(addr_spec=letter.recipient)
    mail["Subject"] = page.fill(texts.texts[letter.text].subject)
    mail["Date"] = format_datetime(letter.at)
    mail["Message-ID"] = f"<{letter.mark}@{domain_of(letter.sender)}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(page.plain(), cte="quoted-printable")
    mail.add_alternative(page.html(), subtype="html", cte="quoted-printable")
    mail["Content-Language"] = texts.language
    return mail.as_bytes()


def unlinked(text: str, limit: int) -> str:
    """A stranger's words on one line, cut, written so that no mail program makes a link or an address of them."""
    words = " ".join(clean(text, 4 * limit).split())
    cut = words if len(words) <= limit else clean(words, limit - 1).rstrip() + "…"
    plain = _SCHEME.sub(r"\1[:]", _SHARE.sub(r"[\\\\]", cut))
    return _AT.sub("[@]", _DOT.sub("[.]", plain))


class _Page:
    """One answer, to be written twice."""

    def __init__(self, letter: AnswerLetter, texts: AnswerTexts) -> None:
        self._letter = letter
        self._words = texts.words
        self._text = texts.texts[letter.text]
        self._language = texts.language
        unknown = texts.words["unknown"]
        self._values = {
            "subject": unlinked(letter.reported_subject or "", MOST_SUBJECT) or unknown,
            "sender": unlinked(letter.reported_sender or "", MOST_SENDER) or unknown,
        }

    def fill(self, text: str) -> str:
        """The text with the reported mail's own words."""
        return filled(text, self._values)

    def plain(self) -> str:
        """The answer as text."""
        words = self._words
        title = self.fill(self._text.title)
        reported = [f"  {words[name]}: {value}" for name, value in self._values.items()]
        parts = [
            f"{title}\n{'=' * min(len(title), 70)}",
            f"{words['reported']}:\n" + "\n".join(reported),
            f"{words['found']}:\n{self.fill(self._text.found)}",
            f"{words['advice']}:\n" + "\n".join(f"- {self.fill(piece)}" for piece in self._text.advice),
            self.fill(words["thanks"]),
            f"-- \n{self.fill(words['automatic'])}\n{words['reference']}: {self._letter.mark}",
        ]
        return "\n\n".join(parts) + "\n"

    def html(self) -> str:
        """The answer as HTML: tables and styles at the elements, which Outlook on the desktop needs."""
        words = {name: escape(self.fill(word)) for name, word in self._words.items()}
        title = escape(self.fill(self._text.title))
        rows = "".join(
            f'<tr><th class="quiet" align="left" valign="top" scope="row" style="{_CELL};padding-right:12px;'
            f'font-weight:normal;color:#5c5c5c;white-space:nowrap">{words[name]}</th>'
            f'<td class="ink" valign="top" style="{_CELL};color:#1b1b1b;word-break:break-word">'
            f"<bdi>{escape(value)}</bdi></td></tr>"
            for name, value in self._values.items()
        )
        advice = "".join(f'<li style="margin:0 0 8px 0">{escape(self.fill(piece))}</li>' for piece in self._text.advice)
        return _HTML.format(
            language=escape(self._language),
            title=title,
            tone=_TONES.get(self._letter.text, Tone.NEWS).value,
            rows=rows,
            found_text=_PARAGRAPH.format(escape(self.fill(self._text.found))),
            advice_text=advice,
            mark=self._letter.mark,
            **{f"word_{name}": word for name, word in words.items()},
        )


_FONT = "font-family:'Segoe UI',Arial,sans-serif"
_CELL = f"{_FONT};font-size:15px;line-height:22px;padding-top:4px;padding-bottom:4px"
_INK = "line-height:24px;color:#1b1b1b"
_PARAGRAPH = f'<p class="ink" style="{_FONT};font-size:16px;{_INK};margin:0 0 12px 0">{{}}</p>'
_HEADING = f'<h2 class="ink" style="{_FONT};font-size:17px;{_INK};margin:20px 0 6px 0">{{}}</h2>'
_HTML = (
    """<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<meta name="format-detection" content="telephone=no, date=no, address=no, email=no, url=no">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
@media (prefers-color-scheme: dark) {{
.ground {{ background-color: #1b1b1b !important; }}
.card {{ background-color: #292929 !important; }}
.ink {{ color: #f3f3f3 !important; }}
.quiet {{ color: #bdbdbd !important; }}
}}
@media (max-width: 480px) {{ .pad {{ padding-left: 16px !important; padding-right: 16px !important; }} }}
</style>
</head>
<body class="ground" style="margin:0;padding:0;background-color:#f3f3f3">
<table class="ground" role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" \
style="background-color:#f3f3f3"><tr><td align="center" style="padding:16px 8px">
<table class="card" role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" \
style="max-width:600px;background-color:#ffffff;border-top:6px solid {tone}">
<tr><td class="pad" align="left" style="padding:20px 28px">
<h1 class="ink" style="FONT;font-size:22px;line-height:30px;color:#1b1b1b;margin:0 0 12px 0">{title}</h1>
"""
    + _HEADING.format("{word_reported}")
    + """
<table cellpadding="0" cellspacing="0" border="0">{rows}</table>
"""
    + _HEADING.format("{word_found}")
    + """
{found_text}
"""
    + _HEADING.format("{word_advice}")
    + """
<ul class="ink" style="FONT;font-size:16px;line-height:24px;color:#1b1b1b;margin:0 0 12px 0;padding-left:24px">\
{advice_text}</ul>
"""
    + _PARAGRAPH.format("{word_thanks}")
    + """
<p class="quiet" style="FONT;font-size:13px;line-height:19px;color:#5c5c5c;margin:20px 0 0 0">{word_automatic}<br>\
{word_reference}: <span style="word-break:break-all">{mark}</span></p>
</td></tr></table>
</td></tr></table>
</body>
</html>
"""
).replace("FONT", _FONT)
