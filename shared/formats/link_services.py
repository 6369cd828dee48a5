"""The services behind whose links stands somebody else's page, by what their links show.

None of the lists can be whole, and none has to be: what a list lacks and looks like a redirect is taken for one. A
service that is listed in vain costs submissions, never a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


def _listed(names: str) -> frozenset[str]:
    return frozenset(names.split())


TARGET_PARAMETERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "safelinks.protection.outlook.com": ("", ("url",)),
    "safelinks.protection.office365.us": ("", ("url",)),
    "safelink.emails.azure.net": ("/redirect/", ("destination",)),
    "linkprotect.cudasvc.com": ("/url", ("a",)),
    "avanan.url-protection.com": ("/v1/", ("o",)),
    "checkpoint.url-protection.com": ("/v1/", ("o",)),
    "clicktime.symantec.com": ("", ("u",)),
    "ctp.trendmicro.com": ("/wis/clicktime/", ("url",)),
    "protect.fireeye.com": ("/v1/", ("u",)),
    "protect2.fireeye.com": ("/v1/", ("u",)),
    "urlsand.esvalabs.com": ("", ("u",)),
    "urlsand.com": ("", ("u",)),
    "scanmail.trustwave.com": ("", ("u",)),
    "link.edgepilot.com": ("/s/", ("u",)),
    "link.zixcentral.com": ("/u/", ("u",)),
    "atpscan.global.hornetsecurity.com": ("", ("u",)),
    "l.facebook.com": ("/l.php", ("u",)),
    "lm.facebook.com": ("/l.php", ("u",)),
    "l.instagram.com": ("", ("u",)),
    "youtube.com": ("/redirect", ("q",)),
    "slack-redir.net": ("/link", ("url",)),
    "duckduckgo.com": ("/l/", ("uddg",)),
    "steamcommunity.com": ("/linkfilter", ("url", "u")),
    "vk.com": ("/away.php", ("to",)),
    "t.umblr.com": ("/redirect", ("z",)),
}
"""Host, beginning of the path, and the parameter that holds the target as it was."""

SHORTENERS = _listed(
    """
    1drv.ms adf.ly aka.ms bit.do bit.ly bitly.com bl.ink buff.ly clck.ru cutt.ly db.tt dlvr.it fb.me forms.gle goo.gl
    goo.su hubs.ly ibb.co is.gd j.mp kutt.it linktr.ee lnkd.in mcaf.ee n9.cl ow.ly qr.ae qrco.de rb.gy rebrand.ly
    reurl.cc s.id short.gy short.io shorturl.at shrtco.de smarturl.it surl.li t.co t.ly t.me telegram.me tiny.cc
    tinyurl.com tny.im tr.ee trib.al u.to urlz.fr v.gd we.tl wa.me x.co yadi.sk youtu.be zpr.io
    """
)
"""Their path alone names the target; what follows changes nothing of it."""

NAMED_BY_PATH = _listed(
    """
    acrobat.adobe.com app.box.com app.powerbi.com archive.org box.com calendly.com canva.com cloudinary.com
    customervoice.microsoft.com docs.google.com docsend.com drive.google.com dropbox.com dropboxusercontent.com
    evernote.com express.adobe.com facebook.com figma.com firebasestorage.googleapis.com form.jotform.com
    forms.cloud.microsoft forms.microsoft.com forms.office.com forms.zoho.com github.com gitlab.com
    googleusercontent.com icloud.com imgur.com indd.adobe.com instagram.com ipfs.io jotform.com linkedin.com
    loom.com mcusercontent.com mediafire.com medium.com mega.nz miro.com nextcloud.com onedrive.live.com padlet.com
    pastebin.com postimg.cc s3.amazonaws.com script.google.com sites.google.com smartsheet.com storage.cloud.google.com
    sharepoint.com storage.googleapis.com surveymonkey.com sway.cloud.microsoft sway.office.com telegra.ph tiktok.com
    transfernow.net trello.com twitter.com viber.com typeform.com webflow.com wetransfer.com wix.com x.com youtube.com
    zoho.com
    raw.githubusercontent.com githubusercontent.com dweb.link cloudflare-ipfs.com gateway.pinata.cloud notion.so
    whatsapp.com msn.com live.com office.com microsoft.com google.com bing.com yahoo.com baidu.com yandex.ru amazon.com
    """
)
"""Strangers' forms, files and pages share the host, and an open redirect of a large site leads to strangers."""

LOOKED_UP = _listed(
    """
    awstrack.me cisco.com clicktrack.io cmail19.com cmail20.com constantcontact.com createsend.com ct.sendgrid.net
    cudasvc.com customeriomail.com emailprotection.link exacttarget.com exct.net fireeye.com hornetsecurity.com
    hubspotemail.net hubspotlinks.com inky.com intercom-mail.com iterable.com klaviyomail.com klclick.com klclick1.com
    list-manage.com mailchi.mp mailchimp.com mailgun.org mailjet.com mandrillapp.com marketo.com mimecast.com
    mimecastprotect.com mktoweb.com mktdns.com mlsend.com mlsend2.com mailerlite.com mcsv.net pardot.com
    phishprotection.com postmarkapp.com pstmrk.it rs6.net sailthru.com sendgrid.com sendgrid.net sendibm1.com
    sendibm2.com sendibm3.com sendibt1.com sendibt2.com sendibt3.com sendinblue.com brevo.com sfmc-content.com
    sophos.com sparkpostmail.com symantec.com trendmicro.com trustwave.com url-protection.com urldefense.com
    urldefense.us urldefense.proofpoint.com vtrack.io zixcentral.com checkpoint.com avanan.click doubleclick.net
    googleadservices.com safelinks.protection.outlook.com safelinks.protection.office365.us egress.com edgepilot.com
    barracudanetworks.com proofpoint.com forcepoint.com fortimail.com esvalabs.com sonicwall.com zscaler.com
    """
)
"""What stands behind their links is theirs to say: a name of the host in the link, if there is one, is not it."""

REDIRECT_HOST = re.compile(
    r"(?:^|\.)(?:[celrtu]|clicks?|links?|lnks?|track(?:ing|er)?|trk|urls?|redir(?:ect)?s?|cl|ct|go|out|gateway|gw)\d*"
    r"\.[^.]+\."
    r"|(?:safe|secure|protect|scan|rewrit|defen[cs]e|track|short|click|guard|wrap)[a-z]*-?(?:links?|urls?|time)"
    r"|(?:links?|urls?|mail|click)-?(?:safe|secur|protect|scan|defen[cs]|rewrit|track|short|guard|wrap|filter)"
)
REDIRECT_PATH = re.compile(
    r"/(?:clicks?|clk|cl\d+|ls|ct|ctc|track(?:ing)?|trk|redir(?:ect(?:ion|or)?)?|goto|go|out(?:bound)?|away|exit"
    r"|links?|lnk|urls?|scan|inspect|rewrite|wrap|visit|forward|fwd|jump|wf|deref|unwrap|safelinks?|amp)"
    r"(?:\.\w{2,5})?(?=[/?;]|\Z)|^/[clrsu]/[^/]{8}|^/v\d+/"
)
REDIRECT_PARAMETER = re.compile(
    r"[?&;](?:(?:url|uri|upn|qs|target|dest(?:ination)?|redir(?:ect)?(?:_?ur[il])?|go(?:to)?|link|lnk|next|continue"
    r"|return(?:_?(?:url|to))?|forward|fwd|ref_?url|domain|adurl|href|jump)=[^&]"
    r"|(?:u|q|a|d|r|to|out|site|location|loc|path|page)=(?:[^&]{24}|[^&]*?(?:\.|%2e|%2f|/)))"
)
