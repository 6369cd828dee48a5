"""What mutations begin with: for each target, inputs that it is there to read.

The sample tenant's originals are always among them; real mails where there are some. From both come Outlook files,
signed bodies and reports of reports, as a report may carry them.
"""

import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from local.graph_simulator.mail_item import MailItem
from local.sample_tenant import ORIGINALS, read_original, sample_reports
from shared.formats.outlook_message import OutlookAttachment, OutlookMessage, Property
from tests.support import report_formats
from tests.support.outlook_writer import message_from_mime, write_msg, write_winmail

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OLE = b"\xd0\xcf\x11\xe0"
MOST_REAL = 60
"""How many real mails are used: the smaller ones, which leave time for more inputs."""
LARGEST_REAL = 40_000
RTF = (
    rb"{\rtf1\ansi\ansicpg1252\fromhtml1 \deff0{\fonttbl{\f0\fswiss\fcharset204 Arial;}}{\*\htmltag19 <html>}"
    rb"\htmlrtf {\b bold\b0}\htmlrtf0 caf\'e9 \u8364 ?{\pict\bin4 abcd}{\*\htmltag27 </html>}\par}"
)
PHISH_ALARM = (
    "---------- Begin Email Headers ----------\r\nFrom: Desk <desk@lure.test>\r\nTo: anna.berg@contoso.example\r\n"
    "Subject: Parcel\r\nMessage-ID: <a@lure.test>\r\nReceived: from mx (203.0.113.9)\r\n"
    "---------- End Email Headers ----------\r\n---------- Begin Reported Email ----------\r\nPay now.\r\n"
    "---------- End Reported Email ----------\r\n"
)
USECURE = (
    "Recipient: anna.berg@contoso.example\r\nSender: desk@lure.test\r\nSubject: Parcel\r\nReceived At: 2026-11-23\r\n"
    "Message ID: <a@lure.test>\r\nNetwork Message ID: 0c9be1de-39a2-4e0f-9d27-5f6b5d2d6f51\r\n"
)
TEXTS = (
    PHISH_ALARM,
    USECURE,
    USECURE.replace(": ", "\t"),
    "See https://teams.microsoft.com/l/message/19:a@thread.v2/1",
)
SUBJECTS = (
    "3|0c9be1de-39a2-4e0f-9d27-5f6b5d2d6f51|203.0.113.9|desk@lure.test|(Your parcel)",
    "Phishing:0c9be1de-39a2-4e0f-9d27-5f6b5d2d6f51|desk@lure.test|(Your parcel) 11/23/2026 9:00:00 AM",
    "Not junk: a | b",
    "FW: strange",
)
ATTACHMENTS = (
    "0Your parcel\n5logo.png\timage/png",
    "1original.eml\tmessage/rfc822",
    "1Original.msg\tapplication/octet-stream\n1winmail.dat\tapplication/ms-tnef",
    "1smime.p7m\tapplication/pkcs7-mime; smime-type=signed-data",
    "2mail.eml\n1noname\t\n1.\tapplication/octet-stream",
)


COMPRESSED_RTF = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")
"""An example of [MS-OXRTFCP] section 4.2."""


def collect_seeds(real_mails: Sequence[Path]) -> Mapping[str, Sequence[bytes]]:
    """The inputs to begin with, by the name of their target; the same for the same mails."""
    mails = [read_original(one.name, NOW) for one in ORIGINALS] + smaller(real_mails)
    few, outlook = mails[::6], outlook_files(mails[::6])
    signed = [wrap(mime) for wrap in (report_formats.as_opaque_signed, report_formats.as_clear_signed) for mime in few]
    reports = [sample.mail for sample in sample_reports(NOW)]
    return {
        "mail": mails,
        "report": [*few, *map(report_formats.report_of_report, few), *outlook, *signed],
        "msg": [content for content in outlook if content.startswith(OLE)],
        "winmail": [content for content in outlook if not content.startswith(OLE)],
        "rtf": [RTF, stored(RTF), COMPRESSED_RTF],
        "cms": [*signed, report_formats.as_enveloped(few[0])],
        "text": [text.encode() for text in TEXTS],
        "subject": [text.encode() for text in (*SUBJECTS, *(one.subject for one in reports))],
        "headers": [*map(told_headers, reports[:5]), *(mime[:6_000] for mime in few)],
        "attachments": [text.encode() for text in ATTACHMENTS],
    }


def real_mails() -> list[Path]:
    """The files of the folder of real reported mails; none where it is absent."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data" / "reported-mail"
    return sorted(Path(os.environ.get("REPORTED_MAIL_DIR", default)).glob("*.eml"))


def smaller(real_mails: Iterable[Path]) -> list[bytes]:
    """Some real mails that are quick to read."""
    contents = (path.read_bytes() for path in real_mails)
    return [content for content in contents if len(content) <= LARGEST_REAL][:MOST_REAL]


def outlook_files(mails: Sequence[bytes]) -> list[bytes]:
    """The mails as Outlook and Exchange keep them, with the bodies that Outlook writes and with one in another."""
    wraps = (report_formats.as_msg, report_formats.as_winmail_item, report_formats.as_winmail_eml)
    message = message_from_mime(report_formats.report_of_report(mails[0]))
    known = {
        number: value for number, value in message.properties.items() if number not in {Property.BODY, Property.HTML}
    }
    in_rtf = replace(message, properties={**known, Property.COMPRESSED_RTF: stored(RTF)})
    nested = OutlookMessage({}, attachments=(OutlookAttachment(in_rtf, name="inner"),))
    return [wrap(mime) for wrap in wraps for mime in mails] + [write_msg(nested), write_winmail(nested)]


def stored(rtf: bytes) -> bytes:
    """RTF in the compressed form's envelope, not compressed ([MS-OXRTFCP] section 2.1.3.1)."""
    return struct.pack("<II4sI", len(rtf) + 12, len(rtf), b"MELA", 0) + rtf


def told_headers(mail: MailItem) -> bytes:
    """The headers of a report as the target `headers` reads them."""
    return "\n".join(f"{name}: {value}" for name, value in mail.headers).encode()
