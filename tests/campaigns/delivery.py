"""A copy as Exchange Online delivered it: its MIME tree under the headers that the transport wrote.

Nothing here tells apart a copy of a campaign from a single. Hosts of the Internet are under `.example` or `.test`;
those of Exchange Online carry their real suffix, as a tenant sees them.
"""

import base64
import quopri
import struct
import zlib
from dataclasses import dataclass
from datetime import timedelta
from email.header import Header
from email.utils import format_datetime

from tests.campaigns.bodies import write_html, write_text
from tests.campaigns.chance import Chance
from tests.campaigns.copies import Copy

TENANT_ID = "8c0f4e1a-5d7b-4a53-9a3e-6b1f27c1d0aa"
ATTACHMENT_TYPES = {
    "pdf": "application/pdf",
    "html": "text/html",
    "ics": "text/calendar",
    "zip": "application/zip",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
MODULES = 29
"""Width of the picture of a code, in squares."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What Exchange tells one message from another by."""

    message_id: str
    network_message_id: str


def deliver(copy: Copy, identity: Identity, recipient: str) -> bytes:
    """Return the MIME of the copy as it lies in the mailbox of `recipient`."""
    lines = [*_trace(copy, identity, recipient), *_author_headers(copy, identity), *_verdict_headers(copy, identity)]
    return ("\r\n".join(lines) + "\r\n" + _entity(copy)).encode("ascii")


def _trace(copy: Copy, identity: Identity, recipient: str) -> list[str]:
    """Return the headers above the sender's own; the uppermost hop is of this mailbox alone."""
    local = Chance(f"{identity.network_message_id} {recipient}")
    sent = copy.chance.moment("sent")
    frontend = f"DB5EUR03FT0{local.number('frontend', 90) + 10}"
    mailbox = f"AS8P{local.number('site', 900) + 100}MB{local.number('mailbox', 9000) + 1000}"
    delivered = (
        f"Received: from {frontend}.eop-EUR03.prod.protection.outlook.com\r\n"
        f" (2001:db8:10a6:20b::{local.number('from', 99)}) by {mailbox}.eurprd05.prod.outlook.com\r\n"
        f" with HTTPS; {format_datetime(sent + timedelta(seconds=9))}"
    )
    accepted = (
        f"Received: from mx{local.number('mx', 9)}.{_domain(copy)} ({_ip(copy)}) by\r\n"
        f" {frontend}.mail.protection.outlook.com (10.233.0.{local.number('to', 99)}) with Microsoft SMTP\r\n"
        " Server (version=TLS1_3, cipher=TLS_AES_256_GCM_SHA384) id 15.20.8114.16 via\r\n"
        f" Frontend Transport; {format_datetime(sent + timedelta(seconds=4))}"
    )
    return [delivered, accepted, _authentication(copy), f"Return-Path: {_bounce(copy)}"]


def _authentication(copy: Copy) -> str:
    domain, bounce = _domain(copy), _bounce(copy).partition("@")[2]
    auth = copy.template.auth
    signed = ("pass (signature was verified)", domain) if auth == "pass" else ("none (message not signed)", "none")
    action, reason = {"pass": ("none", "100"), "none": ("none", "405"), "fail": ("quarantine", "000")}[auth]
    return (
        f"Authentication-Results: spf={auth} (sender IP is {_ip(copy)})\r\n"
        f" smtp.mailfrom={bounce}; dkim={signed[0]}\r\n"
        f" header.d={signed[1]};dmarc={auth} action={action}\r\n"
        f" header.from={domain};compauth={auth} reason={reason}"
    )


def _author_headers(copy: Copy, identity: Identity) -> list[str]:
    return [
        f"From: {_encoded(copy.display, 'From')} <{copy.address}>",
        f"To: {copy.person.address}",
        f"Subject: {_encoded(copy.subject, 'Subject')}",
        f"Date: {format_datetime(copy.chance.moment('sent'))}",
        f"Message-ID: {identity.message_id}",
    ]


def _verdict_headers(copy: Copy, identity: Identity) -> list[str]:
    info = copy.chance.characters("antispam", 120)
    network_id = identity.network_message_id
    route = f"CIP:{_ip(copy)};CTRY:;LANG:{copy.template.lang};SCL:1;SRV:;IPV:NLI;SFV:NSPM"
    return [
        f"X-MS-Exchange-Organization-Network-Message-Id:\r\n {network_id}",
        "X-MS-Exchange-Organization-AuthSource:\r\n DB5EUR03FT012.eop-EUR03.prod.protection.outlook.com",
        "X-MS-Exchange-Organization-AuthAs: Anonymous",
        "X-MS-Exchange-Organization-SCL: 1",
        f"X-MS-Office365-Filtering-Correlation-Id: {network_id}",
        f"X-MS-Exchange-CrossTenant-Network-Message-Id:\r\n {network_id}",
        f"X-MS-Exchange-CrossTenant-Id: {TENANT_ID}",
        f"X-Forefront-Antispam-Report: {route};\r\n H:mx.{_domain(copy)};PTR:InfoDomainNonexistent;CAT:NONE;",
        "X-Microsoft-Antispam: BCL:0;",
        f"X-Microsoft-Antispam-Message-Info:\r\n {info[:60]}\r\n {info[60:]}",
        "MIME-Version: 1.0",
    ]


def _domain(copy: Copy) -> str:
    return copy.address.partition("@")[2]


def _bounce(copy: Copy) -> str:
    local = f"bounce-{copy.chance.characters('bounce', 12, 'abcdefghkmnpqrstuvwxyz23456789')}"
    return f"{local}@{'relay-elsewhere.example' if copy.template.auth == 'fail' else _domain(copy)}"


def _ip(copy: Copy) -> str:
    return f"198.51.100.{copy.chance.number('ip', 200) + 20}"


def _encoded(text: str, header: str) -> str:
    if text.isascii():
        return f'"{text}"' if header == "From" else text
    return Header(text, "utf-8", header_name=header).encode(linesep="\r\n")


def _entity(copy: Copy) -> str:
    body = _body(copy)
    if copy.template.image:
        picture = _leaf("image/png; name=code.png", "base64", draw_code(copy.template.image), "Content-ID: <code>")
        body = _multipart(copy, "related", [body, picture])
    if copy.template.attachment:
        body = _multipart(copy, "mixed", [body, _attachment(copy)])
    return body


def _body(copy: Copy) -> str:
    encoding = "base64" if "base64" in copy.tricks else "quoted-printable"
    writers = {"text": ("plain", write_text), "html": ("html", write_html)}
    chosen = writers.values() if copy.parts == "both" else [writers[copy.parts]]
    parts = [
        _leaf(f"text/{kind}; charset={copy.charset}", encoding, write(copy).encode(copy.charset))
        for kind, write in chosen
    ]
    return parts[0] if len(parts) == 1 else _multipart(copy, "alternative", parts)


def _attachment(copy: Copy) -> str:
    name = copy.fill(copy.template.attachment)
    kind = ATTACHMENT_TYPES[name.rpartition(".")[2]]
    content = draw_attachment(copy.template.content)
    return _leaf(f'{kind}; name="{name}"', "base64", content, f'Content-Disposition: attachment; filename="{name}"')


def _leaf(content_type: str, encoding: str, payload: bytes, *headers: str) -> str:
    encoded = base64.encodebytes(payload) if encoding == "base64" else quopri.encodestring(payload)
    lines = [f"Content-Type: {content_type}", f"Content-Transfer-Encoding: {encoding}", *headers, "", ""]
    return "\r\n".join(lines) + encoded.decode("ascii").replace("\n", "\r\n")


def _multipart(copy: Copy, subtype: str, parts: list[str]) -> str:
    boundary = f"_000_{copy.chance.characters(f'boundary {subtype}', 24)}_"
    inside = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return f'Content-Type: multipart/{subtype}; boundary="{boundary}"\r\n\r\n{inside}--{boundary}--\r\n'


def draw_attachment(content: str) -> bytes:
    """Return the bytes of a file that follow from `content` alone."""
    noise = Chance(content).characters("attachment", 1200)
    return f"%PDF-1.7\n% {content}\n1 0 obj\n<< /Length 1200 >>\nstream\n{noise}\nendstream\n%%EOF\n".encode()


def draw_code(content: str) -> bytes:
    """Return a PNG in black and white of squares that follow from `content` alone."""
    chance = Chance(content)
    rows = [_row([chance.number(f"{x} {y}", 2) for x in range(MODULES)]) for y in range(MODULES)]
    size = struct.pack(">IIBBBBB", MODULES, MODULES, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", size), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _row(squares: list[int]) -> bytes:
    return b"\0" + bytes(255 * square for square in squares)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
