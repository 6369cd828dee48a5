"""Labelled mails whose links went through a service: copies of campaigns, and lures with but the service in common.

A campaign's copies are what the first labelled set has, their links rewritten on the way to each recipient. A lure is a
copy as well, sender, words and all, but leads elsewhere: whoever can send through the same service has no more in
common with the campaign than the host of that service. So each lure is a single.
"""

from collections.abc import Iterator
from dataclasses import replace

from tests.campaigns.chance import Chance
from tests.campaigns.copies import Copy
from tests.campaigns.delivery import Identity, deliver
from tests.campaigns.labelled_mails import LabelledMail
from tests.campaigns.people import PEOPLE
from tests.campaigns.rewriting import SERVICES, SILENT
from tests.campaigns.templates import Campaign, read_campaigns

COPIES = 4
_KNOWN_BY_NOBODY = "mimecast"
"""One silent service has copies as well, though nothing in their links tells them from lures."""
_MODELS = ("parcel-fee", "payroll-change", "shared-document", "mailbox-quota", "voicemail")


def rewritten_mails() -> list[LabelledMail]:
    """Return all mails, the same bytes every time: for each service the campaign's copies, then the lures."""
    return [mail for number, service in enumerate(SERVICES) for mail in _mails(service, number)]


def _mails(service: str, number: int) -> Iterator[LabelledMail]:
    models = {one.template.name: one for one in read_campaigns()}
    model = models[_MODELS[number % len(_MODELS)]]
    campaign = f"{service}-{model.template.name}"
    own_host = f"n{number}-{model.template.host}"
    if service not in SILENT or service == _KNOWN_BY_NOBODY:
        for copy in range(COPIES):
            yield _mail(model, service, f"{campaign}-{copy}", campaign, own_host, "links rewritten anew")
    for lure in range(COPIES):
        host = own_host if service in SILENT else f"elsewhere-{number}-{lure}.test"
        differs = (
            f"Words and sender of {campaign}, its links through the same service, which leads elsewhere from there."
        )
        yield _mail(model, service, f"{campaign}-lure-{lure}", None, host, differs)


def _mail(model: Campaign, service: str, name: str, campaign: str | None, host: str, differs: str) -> LabelledMail:
    template = replace(model.template, host=host, token="query")
    chance = Chance(name)
    reader = chance.pick("recipient", PEOPLE)
    copy = Copy(template, reader, chance, frozenset(), reader.address, SERVICES[service])
    message_id = f"<{chance.characters('message id', 26)}@{template.address.partition('@')[2]}>"
    mime = deliver(copy, Identity(message_id, chance.guid("network message id")), reader.address)
    return LabelledMail(name, campaign, mime, reader.address, differs)
