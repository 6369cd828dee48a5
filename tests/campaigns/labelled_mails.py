"""At least 75 copies of at least 15 campaigns and 150 mails that belong with no other, each with its label.

The labels say what is true, not what a program can see: two mails have the same campaign if one sender sent one lure
to two people, and a single must never be taken for a copy of anything, however much it looks like one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.campaigns.chance import Chance
from tests.campaigns.copies import Copy, describe
from tests.campaigns.delivery import Identity, deliver
from tests.campaigns.people import PEOPLE, Person
from tests.campaigns.templates import Campaign, Single, read_campaigns, read_singles


@dataclass(frozen=True, slots=True)
class LabelledMail:
    """One delivered mail and the campaign it is a copy of."""

    name: str
    campaign: str | None
    """None for a single."""
    mime: bytes
    recipient: str
    what_differs: str
    """Of a copy: how it differs from its siblings. Of a single: what it resembles and why it is not the same, or ""."""


def labelled_mails() -> list[LabelledMail]:
    """Return all mails, the same bytes every time, campaigns first."""
    copies = [mail for campaign in read_campaigns() for mail in _copies(campaign)]
    return [*copies, *(_single(single) for single in read_singles())]


def _copies(campaign: Campaign) -> Iterator[LabelledMail]:
    name = campaign.template.name
    start = Chance(name).number("first recipient", len(PEOPLE))
    for number, line in enumerate(campaign.copies):
        tricks = frozenset(line.split())
        reader = PEOPLE[(start + number) % len(PEOPLE)]
        copy = _copy_of(campaign, number, tricks, reader)
        mime = deliver(copy, _identity(campaign, number, tricks), reader.address)
        yield LabelledMail(f"{name}-{number}", name, mime, reader.address, describe(tricks))


def _copy_of(campaign: Campaign, number: int, tricks: frozenset[str], reader: Person) -> Copy:
    """Return the copy; one that went to several people at once greets the first of them and is one text."""
    shared = "same-ids" in tricks
    seed = f"{campaign.template.name} {'to several' if shared else number}"
    greeted = PEOPLE[Chance(seed).number("greeted", len(PEOPLE))] if shared else reader
    return Copy(campaign.template, greeted, Chance(seed), tricks, reader.address)


def _identity(campaign: Campaign, number: int, tricks: frozenset[str]) -> Identity:
    name = campaign.template.name
    own, shared = Chance(f"{name} {number}"), Chance(f"{name} to several")
    same_message_id = bool(tricks & {"same-ids", "same-message-id"})
    return Identity(
        _message_id(shared if same_message_id else own, campaign.template.address),
        (shared if "same-ids" in tricks else own).guid("network message id"),
    )


def _single(single: Single) -> LabelledMail:
    template = single.template
    chance = Chance(template.name)
    reader = chance.pick("recipient", PEOPLE)
    copy = Copy(template, reader, chance, frozenset(template.copy.split()), reader.address)
    identity = Identity(template.message_id or _message_id(chance, template.address), chance.guid("network message id"))
    return LabelledMail(template.name, None, deliver(copy, identity, reader.address), reader.address, single.differs)


def _message_id(chance: Chance, address: str) -> str:
    domain = address.partition("@")[2]
    return f"<{chance.characters('message id', 26)}@{domain}>"
