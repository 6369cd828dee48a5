"""How services rewrite links: what each makes of a target, with what it draws anew for each recipient.

Written from links as they arrive in mailboxes. The hosts are the services' own, since they are what is recognised; the
targets are reserved names. Nothing here is ever opened.
"""

import base64
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from tests.campaigns.chance import Chance

Rewrite = Callable[[str, Chance], str]


def _encoded(url: str) -> str:
    return quote(url, safe="")


def _token(chance: Chance, url: str, count: int) -> str:
    return chance.characters(f"token {url}", count)


def _safe_links(url: str, chance: Chance) -> str:
    data = quote(f"05|02|reader@contoso.example|{_token(chance, url, 32)}|0|0|Unknown|")
    return f"https://nam02.safelinks.protection.outlook.com/?url={_encoded(url)}&data={data}&reserved=0"


def _proofpoint_2(url: str, chance: Chance) -> str:
    written = quote(url, safe=":/").replace("-", "%2D").replace("_", "%5F").replace("%", "-").replace("/", "_")
    return (
        f"https://urldefense.proofpoint.com/v2/url?u={written.replace(':', '-3A')}&d=DwMF&m={_token(chance, url, 43)}"
    )


def _proofpoint_3(url: str, chance: Chance) -> str:
    return f"https://urldefense.com/v3/__{url}__;!!{_token(chance, url, 14)}!{_token(chance, url + ' r', 60)}$"


def _cisco(url: str, chance: Chance) -> str:
    return f"https://secure-web.cisco.com/1{_token(chance, url, 300)}/{_encoded(url)}"


def _barracuda(url: str, chance: Chance) -> str:
    return f"https://linkprotect.cudasvc.com/url?a={_encoded(url)}&c=E,1,{_token(chance, url, 90)}&typo=1"


def _trend_micro(url: str, chance: Chance) -> str:
    host = f"{chance.pick('host', ('ddei5-0', 'imsva91', 'hes32'))}.ctp.trendmicro.com"
    mail = f"umid={chance.guid(url)}&auth={_token(chance, url, 40)}"
    return f"https://{host}/wis/clicktime/v1/query?url={_encoded(url)}&{mail}"


def _check_point(url: str, chance: Chance) -> str:
    return f"https://protect.checkpoint.com/v2/___{url}___.{_token(chance, url, 90)}"


def _google(url: str, chance: Chance) -> str:
    return f"https://www.google.com/url?q={_encoded(url)}&sa=D&usg={_token(chance, url, 28)}"


def _facebook(url: str, chance: Chance) -> str:
    return f"https://l.facebook.com/l.php?u={_encoded(url)}&h={_token(chance, url, 60)}"


def _twice(url: str, chance: Chance) -> str:
    return _safe_links(_proofpoint_3(url, chance), chance)


TELLING: Final[dict[str, Rewrite]] = {
    "safe-links": _safe_links,
    "proofpoint-2": _proofpoint_2,
    "proofpoint-3": _proofpoint_3,
    "cisco": _cisco,
    "barracuda": _barracuda,
    "trend-micro": _trend_micro,
    "check-point": _check_point,
    "google": _google,
    "facebook": _facebook,
    "proofpoint-in-safe-links": _twice,
}
"""Rewritten links that hold their target: copies of a campaign can be known by it."""


def _mimecast(url: str, chance: Chance) -> str:
    domain = url.partition("//")[2].partition("/")[0]
    return f"https://protect-us.mimecast.com/s/{_token(chance, url, 22)}?domain={domain}"


def _send_grid(url: str, chance: Chance) -> str:
    return f"https://u4218.ct.sendgrid.net/ls/click?upn=u001.{_token(chance, url, 120)}"


def _unknown_tracker(url: str, chance: Chance) -> str:
    return f"https://click.mailrelay.example/c/{_token(chance, url, 20)}"


def _unknown_rewriter(url: str, chance: Chance) -> str:
    return f"https://mailguard.example/{_token(chance, url, 24)}"


def _unknown_with_target(url: str, chance: Chance) -> str:
    packed = base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
    return f"https://checked.example/open/{packed}/{_token(chance, url, 12)}"


SILENT: Final[dict[str, Rewrite]] = {
    "mimecast": _mimecast,
    "send-grid": _send_grid,
    "unknown-tracker": _unknown_tracker,
    "unknown-rewriter": _unknown_rewriter,
    "unknown-with-target": _unknown_with_target,
}
"""Links of which the service alone knows where they lead: the host tells nothing, nor a domain that stands beside."""


def _of_target(length: int) -> Callable[[str], str]:
    return lambda url: Chance(url.partition("?")[0]).characters("page", length)


def _bit_ly(url: str, chance: Chance) -> str:
    return f"https://bit.ly/{_of_target(7)(url)}?r={_token(chance, url, 6)}"


def _t_co(url: str, _chance: Chance) -> str:
    return f"https://t.co/{_of_target(10)(url)}"


def _google_form(url: str, chance: Chance) -> str:
    return f"https://docs.google.com/forms/d/e/1FAIpQLS{_of_target(30)(url)}/viewform?usp={_token(chance, url, 6)}"


def _microsoft_form(url: str, _chance: Chance) -> str:
    return f"https://forms.office.com/r/{_of_target(10)(url)}"


def _dropbox(url: str, _chance: Chance) -> str:
    return f"https://www.dropbox.com/scl/fi/{_of_target(21)(url)}/statement.pdf"


NAMED_BY_PATH: Final[dict[str, Rewrite]] = {
    "bit-ly": _bit_ly,
    "t-co": _t_co,
    "google-form": _google_form,
    "microsoft-form": _microsoft_form,
    "dropbox": _dropbox,
}
"""Links whose path names a page that is the same for all recipients of a campaign."""

SERVICES: Final[dict[str, Rewrite]] = {**TELLING, **SILENT, **NAMED_BY_PATH}
