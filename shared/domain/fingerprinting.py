"""What an original is recognised by: the fingerprint that its campaign is compared with.

Into the bucket goes what has to be equal: claim, sender organisation, what Exchange found out about the sender, the
attachments, and where the mail leads (the organisations behind links and addresses, telephone and bank account
numbers). The sketch is made of its words. Pure and total; the same mail has the same fingerprint in every process.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .campaigns import SKETCH, Fingerprint
from .text import clean, domain_of

MAX_TEXT = 64 * 1024
"""Characters whose words are compared; what follows has to be equal."""
_RULES = 3
"""Goes into every bucket. Raise it with each change to what a fingerprint is made of: old ones then match nothing."""


def fingerprint(  # noqa: PLR0913 - facts of a mail, all given by name
    *,
    claim: str,
    sender: str | None,
    authentication: str,
    subject: str | None,
    text: str,
    links: Sequence[str],
    attachments: Sequence[str],
    internet_message_id: str | None,
    network_message_id: str | None,
    recipient: str,
    reply_to: Sequence[str] = (),
    exactly: Sequence[str] = (),
    unseen: str = "",
) -> Fingerprint | None:
    """The fingerprint of an original; None where there is no sender or nothing but a subject to compare.

    `authentication` is what Exchange itself wrote about the sender, in any stable wording; `links` are the host names
    behind the links, those in the text among them; `attachments` are digests of their contents; `reply_to` are the
    addresses that answers go to. `exactly` is what has to be the same to the letter, as links whose host does not say
    where they lead; of `unseen` text only that counts to which it leads. Order does not matter.
    """
    if not sender or not (text.strip() or links or attachments):
        return None
    organisation = sender_organisation(sender)
    content = _read(subject or "", text, recipient, unseen)
    answered = {*map(sender_organisation, reply_to)} - {organisation}
    targets = {*map(organisation_of_host, links), *content.targets, *answered} - {sender_organisation(recipient)}
    shingles = _shingles(content.words)
    return Fingerprint(
        bucket=_digest(
            [
                _RULES,
                claim,
                organisation,
                authentication.strip().casefold(),
                sorted(targets),
                sorted({*exactly, *content.exactly}),
                sorted({digest.casefold() for digest in attachments}),
                text[MAX_TEXT:],
                content.words if _brand(organisation) in _PLATFORMS else None,
            ]
        ),
        sketch=tuple(sorted(shingles)[:SKETCH]),
        size=len(shingles),
        ids=frozenset(_digest([one])[:16] for one in (internet_message_id, network_message_id) if one),
    )


def _digest(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()[:32]


# --- Words ----------------------------------------------------------------------------------------------------------

_JOINERS = re.compile("[\u200c\u200d\ufe00-\ufe0f]")  # what `clean` keeps because spelling needs it
# Scripts written without spaces: Thai, Lao, Burmese, Khmer, Japanese, Chinese. Two characters stand for a word, and
# punctuation begins anew, so that an inserted character moves the pairs of its own clause only.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Marks within a token keep URLs, addresses, numbers and ids in one piece.
_MARKS = r"[-.@:/?=&%#~+]+"
_TOKEN = re.compile(rf"[{_UNSPACED}]{{1,2}}|[^\W{_UNSPACED}]+(?:{_MARKS}[^\W{_UNSPACED}]+)*")
_SPACED_TOKEN = re.compile(rf"\w+(?:{_MARKS}\w+)*")  # the same where there are none of them, in half the time
_ASCII_TOKEN = re.compile(rf"\w+(?:{_MARKS}\w+)*", re.ASCII)
_UNSPACED_LETTER = re.compile(f"[{_UNSPACED}]")
_OTHER_DIGIT = re.compile(r"[^\D0-9]")
_DASH = re.compile("[\u2010-\u2015\u2212]")
_LINK_RUN = re.compile(r"\b[a-z][a-z0-9+.-]*+://[\w.:@%~-]*(?:[/?#][^\s<>\"`|{}^]*)?")
_ANY_LINK = "x://x"
_LONGEST_WORD = 24
_SHORTEST_NAME = 3
_NAME_PART = re.compile(r"[^\W\d_]+")
_DIGIT = re.compile(r"\d")

# Tokens are in lower case, so these are none.
_ADDRESS, _LINK, _NUMBER, _RECIPIENT, _END = "A", "L", "N", "R", "E"


@dataclass(frozen=True, slots=True)
class _Content:
    """What a mail says in words, and where else than by its links it leads."""

    words: list[str]
    targets: set[str]
    exactly: set[str]


def _read(subject: str, text: str, recipient: str, unseen: str) -> _Content:
    title, body = _normalise(subject), _normalise(text)
    tokens = [*_tokens(title), _END, *_tokens(body)]
    unusual = _unusual(tokens)
    names = _names(recipient)
    placeholders = {token: _placeholder(token) for token in unusual} | names
    words = map(placeholders.get, tokens, tokens)
    beside = _normalise(unseen) if unseen else ""
    respelt = _unusual(_tokens(_in_one_spelling(f"{body} {beside}")))
    leading = unusual.union(_unusual(_tokens(beside)), respelt) - names.keys()
    return _Content(
        words=[word for word, _ in itertools.groupby(words)],
        # A number that stands in subject and text alike is a caller's, another one in each copy of a voice message.
        targets={
            *_targets(leading),
            *(_phones(title) ^ _phones(f"{body} {beside}")),
            *(_called(f"{body} {beside}") - {_digits(number) for number in _CALLED.findall(title)} - _phones(title)),
            *(account for text in (title, body, beside) for account in _accounts(text)),
        },
        exactly={*_folded(leading), *_handles(body), *_handles(beside)},
    )


def _unusual(tokens: Iterable[str]) -> set[str]:
    """The tokens that are no plain words."""
    return {token for token in tokens if len(token) > _LONGEST_WORD or not token.isalpha()}


def _tokens(normalised: str) -> list[str]:
    if "://" in normalised:
        normalised = _LINK_RUN.sub(_ANY_LINK, normalised)  # its pieces are no words; where it leads is in the links
    if normalised.isascii():
        return _ASCII_TOKEN.findall(normalised)
    return (_TOKEN if _UNSPACED_LETTER.search(normalised) else _SPACED_TOKEN).findall(normalised)


def _normalise(text: str) -> str:
    """The text as the eye reads it: one form for each letter, no case, nothing invisible."""
    begin = text[:MAX_TEXT]
    if begin.isascii():
        return begin.casefold()
    one_form = _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), unicodedata.normalize("NFKC", begin))
    one_form = _DASH.sub("-", one_form)
    return _JOINERS.sub("", clean(one_form, len(one_form))).casefold()


def _names(recipient: str) -> dict[str, str]:
    """The recipient's address and the names in it, which differ from one copy of a mail to the next."""
    whole = recipient.casefold()
    local = whole.rpartition("@")[0]
    parts = [name for name in (local, *_NAME_PART.findall(local)) if len(name) >= _SHORTEST_NAME]
    return dict.fromkeys([whole, *parts], _RECIPIENT)


def _placeholder(token: str) -> str:
    """What stands for a token that is no plain word; a word with a hyphen stands for itself."""
    if "://" in token or _host_in(token):
        return _LINK
    if "@" in token:
        return _ADDRESS
    return _NUMBER if len(token) > _LONGEST_WORD or _DIGIT.search(token) else token


def _shingles(words: list[str]) -> set[int]:
    """A 32-bit hash of each pair of neighbouring words.

    CRC-32 is quick and can be continued: the hash of a pair is the second word's, begun with the first one's. Whoever
    wants equal hashes can have them, but gains no more than by copying the words.
    """
    lines = "\n".join([_END, *words, _END, ""]).encode("utf-8", "surrogatepass").splitlines(keepends=True)
    return set(map(zlib.crc32, lines[1:], map(zlib.crc32, lines)))


# --- Where a mail leads ---------------------------------------------------------------------------------------------

_LONGEST_HOST = 253
_FILES = "docx?|eml|exe|gif|html?|jpe?g|js|json|msg|pdf|php|png|pptx?|rtf|svg|txt|vbs|xlsx?|xml"  # no top-level domains
_HOST = re.compile(rf"(?:[\w-]+\.)+(?!(?:{_FILES})\Z)[^\W\d_]{{2,}}")
_AFTER_HOST = re.compile(r"[/?#:]")
_SIGNS_OF_SPELLING = ("[.", "(.", "{.", "dot", "[at", "(at", "\u3002", " .")
_DOT_SPELT = re.compile(
    r"\s?[\[({]\s?(?:\.|dot|punkt|punto|point)\s?[\])}]\s?|(?<=[a-z0-9])(?: dot |\u3002| \.)(?=[a-z0-9])"
)
_AT_SPELT = re.compile(r"\s?[\[({]\s?(?:@|at)\s?[\])}]\s?")
_ID_OR_TIME = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dt[\d:.+z-]+")  # lead nowhere
_HANDLE = re.compile(r"(?<![\w.])@\w{3,}")  # a name on some platform
# Telephone numbers are told from amounts, dates and order numbers by their grouping: international, North American,
# with an area code that begins with 0, French.
_DIGITS = re.compile(r"[+(0-9][0-9 ()./-]{7,}")
_PHONE = re.compile(
    r"(?<![\d.,/-])(?:\+\d{1,3}[ .-]{0,2}(?:\(\d{1,5}\))?[\d ./-]{5,16}\d"
    r"|(?:1[ .-])?\(?\d{3}\)?[ .-]{1,2}\d{3}[ .-]\d{4}|\(\d{3}\)\d{3}[ .-]?\d{4}|\d{3} ?/ ?\d{3} ?/ ?\d{4}"
    r"|\d{3} \d{3} \d\d \d\d|1?8(?:00|88|77|66|55|44|33)\d{7}|00[1-9]\d{0,2} [\d ().-]{6,14}\d|00[1-9]\d{9,12}"
    r"|\(?0[1-9]\d{1,3}\)?[ /-]{1,3}\d{3,8}(?:[ -]\d{2,6}){0,2}|0[1-9]\d{8,9}|0\d(?:[ .]\d\d){4})(?!\d)"
)
# Next to a word for calling, any number of that many digits is one, but for a date. What stands before it is looked at
# behind its first sign: a pattern that begins with a set of signs is searched for several times as fast.
_CALLED = re.compile(
    r"[+(\[\d](?<![\d.,][+(\[\d])(?:(?<=\d)|(?<!\d)\d)"
    r"(?:[\d ).\]/*-]|[(\[](?=\d{1,5}[)\]])){4,22}\d(?![\d])"
)
_CALL = re.compile(
    r"\b(?:call|dial|ring|(?:tele)?phone|tel|hotline|helpline|toll.free|whatsapp|sms|anruf|rufen|telefon|fono|llam[ae]"
    r"|t[eé]l[eé](?:phone|fono)|appel|chiam|ligue|bel(?:len)?\b|zadzwo|volejte|soita|ring)|電話|电话|전화|тел|звон|هاتف|اتصل"
)
_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d\d)|\d{4}[./-]\d\d[./-]\d\d|\d\d:")
_NEAR = 40
_FEWEST_DIGITS, _MOST_DIGITS = 7, 15  # ITU-T E.164, and local numbers
# A number in letters, as they stand on the keys.
_VANITY = re.compile(r"(?:1-)?8(?:00|88|77|66|55|44|33)-(?=[a-z0-9-]*[a-z])[a-z0-9-]{4,12}")
_ACCOUNT = re.compile(  # from its check digits on, behind two letters
    r"\d(?<=(?<!\w)[a-z]{2}\d)\d ?[a-z0-9]{4}(?: ?(?=[a-z]{0,3}\d)[a-z0-9]{4}){1,6}(?: ?\d[a-z0-9]{0,2})?(?!\w)",
    re.ASCII,
)


def _targets(tokens: Iterable[str]) -> set[str]:
    """The organisations behind addresses, and behind host names that mail programs make links of."""
    hosts = {_host_in(token) for token in tokens} - {""}
    addresses = {token.removeprefix("mailto:") for token in tokens if _placeholder(token) == _ADDRESS}
    return {*map(organisation_of_host, hosts), *map(sender_organisation, addresses)}


def _folded(tokens: Iterable[str]) -> set[str]:
    """What the words would hide: tokens too long for a word, and links of which the host does not say all."""
    return {token for token in tokens if "://" not in token and _is_folded(token)}


def _is_folded(token: str) -> bool:
    if "@" in token:
        return "." not in token.rpartition("@")[2]  # no mailbox, but perhaps one to pay to
    if len(token) > _LONGEST_WORD:
        return _ID_OR_TIME.fullmatch(token) is None
    return bool((_AFTER_HOST.search(token) and _host_in(token)) or _VANITY.fullmatch(token))


def _host_in(token: str) -> str:
    """The host that a link without a scheme begins with; empty where the token is none."""
    host = _AFTER_HOST.split(token, 1)[0]
    return host if len(host) <= _LONGEST_HOST and _HOST.fullmatch(host) else ""


def _phones(text: str) -> set[str]:
    """The telephone numbers: who clones a mail may want to be called instead of the one who wrote it."""
    candidates = _DIGITS.findall(text)
    return {_digits(phone) for candidate in candidates for phone in _PHONE.findall(candidate)}


def _digits(number: str) -> str:
    return "".join(_DIGIT.findall(number))


def _handles(text: str) -> list[str]:
    return _HANDLE.findall(text) if "@" in text else []


def _called(text: str) -> set[str]:
    """The numbers next to a word for calling, however they are grouped."""
    found: set[str] = set()
    for number in _CALLED.finditer(text):
        digits = _digits(number[0])
        is_phone = _FEWEST_DIGITS <= len(digits) <= _MOST_DIGITS and not _DATE.match(number[0])
        if is_phone and _CALL.search(text, max(number.start() - _NEAR, 0), number.start()):
            found.add(digits)
    return found


def _in_one_spelling(text: str) -> str:
    """The text with hosts and addresses as they are meant by who writes `lure[.]example` or `me (at) lure.example`."""
    if not any(sign in text for sign in _SIGNS_OF_SPELLING):
        return ""
    respelt = _AT_SPELT.sub("@", _DOT_SPELT.sub(".", text))
    return respelt if respelt != text else ""


def _accounts(text: str) -> set[str]:
    """The bank accounts, for the same reason: who clones an invoice wants to be paid."""
    accounts = {text[found.start() - 2 : found.end()].replace(" ", "") for found in _ACCOUNT.finditer(text)}
    return {account for account in accounts if _is_iban(account)}


def _is_iban(account: str) -> bool:
    """Whether the check digits are right (ISO 13616, 6.3)."""
    return int("".join(str(int(char, 36)) for char in account[4:] + account[:4])) % 97 == 1


# --- Organisations --------------------------------------------------------------------------------------------------


def _listed(names: str) -> frozenset[str]:
    return frozenset(names.split())


_SECOND_LEVEL = _listed("ac co com edu gob gouv gov govt ltd me ne net nom or org plc sch")
"""Labels that belong to a country's registry when they precede its two letters, as in co.uk, com.br and or.jp."""
_FREE_MAIL = _listed(
    """
    163 126 aol att bigpond btinternet comcast cox daum fastmail foxmail free freenet gmail gmx googlemail hanmail hey
    hotmail icloud inbox laposte libero live mac mail me msn naver o2 onet orange outlook passport pm posteo proton
    protonmail qq rambler rediffmail rocketmail sbcglobal seznam sfr sina sky t-online telus terra tuta tutanota uol
    verizon virgilio virginmedia wanadoo web wp yahoo yandex yeah ymail zoho
    """
)
"""Names of providers at which strangers share a domain, whatever it ends in."""
_PLATFORMS = _listed(
    """
    adobe adobesign airtable asana atlassian box calendly canva docusign dropbox echosign eventbrite evernote
    facebookmail figma github gitlab google hellosign intuit jotform linkedin microsoft microsoftonline monday notion
    office office365 pandadoc paypal quickbooks sharepointonline slack smartsheet squareup stripe surveymonkey
    surveymonkeyuser trello typeform wetransfer wix xero zoom
    """
)
"""Names of services that send what strangers write, in their own name and with links to themselves. Nothing but words
tells an attacker's invitation, invoice or shared document from an honest one, so the words have to be equal."""
_SHARED_HOSTS = _listed(
    """
    amazonaws.com appspot.com azureedge.net azurefd.net azurewebsites.net backblazeb2.com blogspot.com br.com carrd.co
    cloudapp.azure.com cloudfront.net cn.com co.com de.com digitaloceanspaces.com docs.google.com drive.google.com
    duckdns.org eu.com firebaseapp.com fleek.co fly.dev forms.office.com gb.net gitbook.io github.io gitlab.io glitch.me
    godaddysites.com googleapis.com herokuapp.com jpn.com myportfolio.com myqcloud.com myshopify.com netlify.app
    ngrok-free.app ngrok.io notion.site onmicrosoft.com onrender.com pages.dev r2.dev railway.app repl.co replit.app
    ru.com run.app sa.com script.google.com sendgrid.net sharepoint.com sites.google.com square.site surge.sh
    trafficmanager.net translate.goog trycloudflare.com typepad.com uk.com us.com vercel.app web.app webflow.io
    weebly.com windows.net wixsite.com wordpress.com workers.dev za.com
    """
)
"""Domains below which every name may be somebody else's."""


def sender_organisation(address: str) -> str:
    """Who answers for a mail address: its registrable domain, or the whole address where strangers share the domain.

    A heuristic with small lists instead of the Public Suffix List. Where it takes an organisation for two, a campaign
    is split; where it takes two for one, links, attachments and words still have to agree. Text that is no address
    stands for itself.
    """
    whole = address.strip().casefold()
    organisation = organisation_of_host(domain_of(whole))
    return whole if not organisation or _brand(organisation) in _FREE_MAIL else organisation


def organisation_of_host(host: str) -> str:
    """Who answers for a host: its registrable domain; the whole name on shared hosting; an IP address as it is."""
    name = host.strip().casefold().strip(".")
    labels = name.split(".")
    is_address = ":" in name or labels[-1][:1].isdecimal()  # no top-level domain begins with a digit
    if is_address or any(".".join(labels[-count:]) in _SHARED_HOSTS for count in (2, 3)):
        return name
    is_below_registry = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
    return ".".join(labels[-3 if is_below_registry else -2 :])


def _brand(organisation: str) -> str:
    return organisation.partition(".")[0]
