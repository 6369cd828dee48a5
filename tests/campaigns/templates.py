"""The mails as they are written down in `mails/*.toml`, before anything is filled in.

A campaign is one template and a line per copy. A single is a template of its own, or, with `like`, that of a campaign
or of another single with some of its fields written differently, so that a clone differs in exactly what it names.
"""

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

MAILS = Path(__file__).parent / "mails"


@dataclass(frozen=True, slots=True)
class Template:
    """One mail as its author wrote it, with placeholders; the fields are the keys of the TOML files."""

    name: str
    sender: str
    """Display name and address; `from` in the files."""
    subject: str
    text: str
    lang: str = "en"
    host: str = ""
    """Where links without a host lead."""
    token: str = "path"
    """Where a link carries the recipient's token: path, query or subdomain."""
    layout: str = "card"
    parts: str = "both"
    """The bodies that it has: text, html or both."""
    auth: str = "pass"
    """What authentication came to: pass, none or fail."""
    attachment: str = ""
    content: str = ""
    """What the attachment is drawn from: equal content, equal bytes."""
    image: str = ""
    """What the inline picture is drawn from."""
    copy: str = ""
    """How this one differs from the plain rendering, in the words of `copies`."""
    message_id: str = ""
    """The Message-ID of another mail that this one claims as its own."""
    displays: tuple[str, ...] = ()
    locals: tuple[str, ...] = ()

    @property
    def display(self) -> str:
        """The sender's display name."""
        return self.sender.partition(" <")[0]

    @property
    def address(self) -> str:
        """The sender's address."""
        return self.sender.partition(" <")[2].removesuffix(">")


@dataclass(frozen=True, slots=True)
class Campaign:
    """A template and how each of its copies differs."""

    template: Template
    copies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Single:
    """A mail that belongs with no other; `differs` is empty unless it looks as if it did."""

    template: Template
    differs: str


def read_campaigns() -> list[Campaign]:
    """Return the campaigns in the order of their file."""
    entries = _read("campaigns.toml")["campaign"]
    return [Campaign(Template(**_template_fields(entry)), tuple(entry["copies"])) for entry in entries]


def read_singles() -> list[Single]:
    """Return the singles of all `singles-*.toml`, each with what it is `like` resolved.

    Raises KeyError if one is like a mail that does not precede it.
    """
    known = {campaign.template.name: campaign.template for campaign in read_campaigns()}
    singles = []
    for path in sorted(MAILS.glob("singles-*.toml")):
        for entry in _read(path.name)["mail"]:
            template = _resolve(entry, known)
            known[template.name] = template
            singles.append(Single(template, entry.get("differs", "")))
    return singles


def _resolve(entry: dict[str, Any], known: dict[str, Template]) -> Template:
    if "like" not in entry:
        return Template(**_template_fields(entry))
    model = known[entry["like"]]
    clone = replace(model, **_template_fields(entry))
    for old, new in entry.get("swap", []):
        if old not in clone.text:
            raise KeyError(f"{clone.name}: {old!r} is not in the text of {model.name}")
        clone = replace(clone, text=clone.text.replace(old, new))
    return clone


def _template_fields(entry: dict[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(Template)}
    renamed = {"sender" if key == "from" else key: value for key, value in entry.items()}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in renamed.items() if key in known}


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((MAILS / name).read_text(encoding="utf-8"))
