"""The two bodies of a copy, text and HTML, from one text with a little markup.

`# ` opens a headline, `| key | value` a row of a table, `[label](url)` is a link, `![alt](cid:code)` the picture. HTML
and text say the same, as mails of careful senders do; what tricks add to the HTML is never seen by its reader.
"""

import html
import re
from string import ascii_lowercase

from tests.campaigns.copies import LINK, Copy

VOCABULARY = (
    *("harbour", "lantern", "willow", "copper", "meadow", "gravel", "saddle", "orchard", "thimble", "cinder"),
    *("parsley", "anchor", "velvet", "quarry", "ribbon", "kettle", "marble", "falcon", "juniper", "cobalt"),
    *("bracket", "saffron", "pebble", "tundra", "ledger", "mosaic", "pollen", "rudder", "sorrel", "timber"),
)
PICTURE = re.compile(r"!\[([^\]]*)\]\((cid:\w+)\)")
HIDDEN = "display:none;font-size:0;line-height:0;color:#ffffff;max-height:0;overflow:hidden"
BANNER = (
    "CAUTION: This mail was sent from outside Contoso. Do not open links or attachments unless you know the sender."
)


def write_text(copy: Copy) -> str:
    """Return the text body."""
    shown = LINK.sub(r"\1: \2", PICTURE.sub(r"[\2]", copy.text()))
    plain = re.sub(r"^# |^\| ", "", shown, flags=re.MULTILINE)
    return f"{BANNER}\n\n{plain}\n" if "banner" in copy.tricks else f"{plain}\n"


def write_html(copy: Copy) -> str:
    """Return the HTML body."""
    blocks = "\n".join(_noise(copy, position) + _block(copy, text) for position, text in enumerate(_blocks(copy)))
    direction = ' dir="rtl"' if copy.template.lang == "ar" else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{copy.template.lang}"{direction}>\n<head>\n<meta charset="{copy.charset}">\n'
        f"{_style(copy)}</head>\n<body>\n{_banner(copy)}{_preheader(copy)}{_frame(copy, blocks)}{_pixel(copy)}"
        "</body>\n</html>\n"
    )


def _blocks(copy: Copy) -> list[str]:
    return re.split(r"\n{2,}", copy.text())


def _block(copy: Copy, text: str) -> str:
    if text.startswith("# "):
        return f'<h1 class="{_css(copy, "head")}">{_inline(copy, text[2:])}</h1>'
    if text.startswith("| "):
        rows = "".join(f"<tr>{_cells(copy, line)}</tr>" for line in text.splitlines())
        return f'<table class="{_css(copy, "facts")}">{rows}</table>'
    return f'<p class="{_css(copy, "text")}">{_inline(copy, text)}</p>'


def _cells(copy: Copy, line: str) -> str:
    return "".join(f"<td>{_inline(copy, cell.strip())}</td>" for cell in line.strip("| ").split("|"))


def _inline(copy: Copy, text: str) -> str:
    escaped = html.escape(text, quote=False).replace("\n", "<br>\n")
    pictured = PICTURE.sub(r'<img src="\2" alt="\1" width="240">', escaped)
    linked = LINK.sub(rf'<a class="{_css(copy, "button")}" href="\2">\1</a>', pictured)
    return _as_entities(linked) if "entities" in copy.tricks else linked


def _as_entities(markup: str) -> str:
    pieces = re.split(r"(<[^>]*>|&\w+;)", markup)
    return "".join(piece if position % 2 else _letters_as_entities(piece) for position, piece in enumerate(pieces))


def _letters_as_entities(text: str) -> str:
    return re.sub(r"[aeiost]", lambda match: f"&#{ord(match[0])};", text)


def _css(copy: Copy, role: str) -> str:
    return copy.chance.characters(f"class {role}", 7, ascii_lowercase) if "classes" in copy.tricks else role


def _style(copy: Copy) -> str:
    return (
        "<style>\n"
        f".{_css(copy, 'frame')} {{ max-width: 600px; margin: 0 auto; font-family: Arial, sans-serif; }}\n"
        f".{_css(copy, 'head')} {{ font-size: 22px; color: #1d3557; }}\n"
        f".{_css(copy, 'text')} {{ font-size: 15px; line-height: 1.5; color: #333333; }}\n"
        f".{_css(copy, 'facts')} td {{ padding: 4px 12px; border-bottom: 1px solid #dddddd; }}\n"
        f".{_css(copy, 'button')} {{ padding: 10px 22px; background: #1d70b8; color: #ffffff; }}\n"
        "</style>\n"
    )


def _frame(copy: Copy, blocks: str) -> str:
    if copy.template.layout == "plain":
        return f"<div>\n{blocks}\n</div>\n"
    return (
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center">\n'
        f'<div class="{_css(copy, "frame")}">\n{blocks}\n</div>\n</td></tr></table>\n'
    )


def _noise(copy: Copy, position: int) -> str:
    noise = ""
    if "hidden-words" in copy.tricks:
        words = copy.chance.words(f"hidden {position}", 9, VOCABULARY)
        noise += f'<span style="{HIDDEN}">{words}</span>'
    if "comments" in copy.tricks:
        noise += f"<!-- {copy.chance.words(f'comment {position}', 6, VOCABULARY)} -->"
    return noise


def _banner(copy: Copy) -> str:
    return f'<div style="background:#fff3cd;padding:8px">{BANNER}</div>\n' if "banner" in copy.tricks else ""


def _preheader(copy: Copy) -> str:
    if "preheader" not in copy.tricks:
        return ""
    return f'<div style="{HIDDEN}">{copy.chance.words("preheader", 8, VOCABULARY)}</div>\n'


def _pixel(copy: Copy) -> str:
    if "pixel" not in copy.tricks:
        return ""
    host = copy.template.host or copy.template.address.partition("@")[2]
    return f'<img src="https://{host}/o/{copy.chance.characters("pixel", 24)}.gif" width="1" height="1" alt="">\n'
