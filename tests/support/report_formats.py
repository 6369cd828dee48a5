"""An original in every wrapping that a report may put around it, as the bytes that Graph gives of the attachment.

MIME wrappers carry the original octet for octet; what Outlook's formats keep of a mail is up to `outlook_writer`. The
key that signs is made for the run: nobody verifies these signatures.
"""

import base64
import functools
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from local.sample_tenant import PEOPLE, REPORTING_MAILBOX, TENANT_ID, read_facts
from shared.domain.tenant import Tenant
from shared.formats.outlook_message import OutlookAttachment, OutlookMessage, Property
from tests.support.outlook_writer import message_from_mime, write_msg, write_winmail

NOTE = "Please look at this one, I did not click anything."
VALID_FROM = datetime(2026, 1, 1, tzinfo=UTC)
RIGHTS_PROTECTED = b"\x76\xe8\x04\x60\xc4\x11\xe3\x86" + bytes(120)
"""The first octets of a message.rpmsg ([MS-OXORMMS] section 2.2.2); the rest is encrypted anyway."""


def tenant_of(*domains: str) -> Tenant:
    """The sample tenant with these domains."""
    return Tenant(TENANT_ID, frozenset(domains), frozenset({REPORTING_MAILBOX}))


# --- MIME -------------------------------------------------------------------------------------------------------------


def multipart(kind: str, *parts: bytes, boundary: str = "=_part_5be1") -> bytes:
    """A multipart entity of these parts, each with its own headers."""
    delimiter = b"\r\n--" + boundary.encode()
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n'.encode()
    return head + b"".join(delimiter + b"\r\n" + part for part in parts) + delimiter + b"--\r\n"


def text_part(text: str = NOTE) -> bytes:
    """The words of a reporter."""
    return b'Content-Type: text/plain; charset="utf-8"\r\n\r\n' + text.encode()


def mail_part(mime: bytes) -> bytes:
    """A mail as an attached one."""
    return b'Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename="original.eml"\r\n\r\n' + mime


def file_part(content: bytes, content_type: str, name: str) -> bytes:
    """A file as an attached one."""
    head = f'Content-Type: {content_type}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    return head.encode() + base64.encodebytes(content)


def report_body(mime: bytes) -> bytes:
    """What a reporter sends: a note and the original."""
    return multipart("mixed", text_part(), mail_part(mime))


def delivered_report(
    body: bytes,
    *,
    subject: str = "3|reported again",
    reporter: str = PEOPLE[0],
    to: str = REPORTING_MAILBOX,
    auth_as: str = "Internal",
) -> bytes:
    """A mail with this body as Exchange delivered it from one of the tenant's people; the body begins with headers."""
    head = (
        "Received: from AM0PR01 (2001:db8::1) by AM0PR02 (2001:db8::2); Mon, 23 Nov 2026 09:00:00 +0000\r\n"
        f"From: <{reporter}>\r\nTo: <{to}>\r\nSubject: {subject}\r\n"
        f"Message-ID: <report-again@{reporter.rpartition('@')[2]}>\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\n"
        "X-MS-Exchange-Organization-Network-Message-Id: 0c9be1de-39a2-4e0f-9d27-5f6b5d2d6f51\r\n"
        f"X-MS-Exchange-Organization-AuthAs: {auth_as}\r\nMIME-Version: 1.0\r\n"
    )
    return head.encode() + body


def report_of_report(mime: bytes) -> bytes:
    """A report mail that carries the original, as it is attached when somebody reports the report."""
    return delivered_report(report_body(mime))


# --- Outlook ----------------------------------------------------------------------------------------------------------


def as_msg(mime: bytes) -> bytes:
    """The mail as Outlook saves what it received: with the headers of its transport."""
    return write_msg(message_from_mime(mime))


def as_dragged_msg(mime: bytes) -> bytes:
    """The mail as an Outlook file that kept no headers: only what Outlook itself knows of it."""
    message, facts = message_from_mime(mime), read_facts(mime)
    known = {number: value for number, value in message.properties.items() if number != Property.TRANSPORT_HEADERS}
    known |= {
        Property.SUBJECT: facts.subject,
        Property.INTERNET_MESSAGE_ID: facts.internet_message_id,
        Property.SENDER_SMTP_ADDRESS: facts.sender,
        Property.SENT_REPRESENTING_SMTP_ADDRESS: facts.sender,
    }
    return write_msg(replace(message, properties=known))


def in_winmail(attachment: OutlookAttachment) -> bytes:
    """A report whose whole body came as winmail.dat, with one attachment."""
    properties: dict[int, object] = {
        Property.MESSAGE_CLASS: "IPM.Note",
        Property.SUBJECT: "3|look",
        Property.BODY: NOTE,
    }
    return write_winmail(OutlookMessage(properties, attachments=(attachment,)))


def as_winmail_item(mime: bytes) -> bytes:
    """The mail as an embedded message of a winmail.dat."""
    return in_winmail(OutlookAttachment(message_from_mime(mime), name="Original"))


def as_winmail_eml(mime: bytes) -> bytes:
    """The mail as an .eml file in a winmail.dat."""
    return in_winmail(OutlookAttachment(mime, name="original.eml", mime_type="message/rfc822"))


# --- Signed and encrypted ---------------------------------------------------------------------------------------------


def as_clear_signed(mime: bytes) -> bytes:
    """What Graph gives of a clear-signed report: one smime.p7m that holds the multipart/signed of the body."""
    signature = file_part(b"nobody looks at a signature", "application/pkcs7-signature", "smime.p7s")
    return multipart(
        "signed; micalg=sha-256; protocol=application/pkcs7-signature", report_body(mime), signature, boundary="=_sig"
    )


def as_opaque_signed(mime: bytes) -> bytes:
    """What Graph gives of an opaquely signed report: the CMS signed-data that holds its body."""
    key, certificate = signer()
    builder = pkcs7.PKCS7SignatureBuilder().set_data(report_body(mime))
    signed = builder.add_signer(certificate, key, hashes.SHA256())
    return signed.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])


def as_compressed(mime: bytes) -> bytes:
    """A report that a mail program compressed: CMS compressed-data (RFC 3274), its lengths left open."""
    packed = zlib.compress(report_body(mime))
    octets = b"\x04\x84" + len(packed).to_bytes(4, "big") + packed
    data = b"\x30\x80" + bytes.fromhex("06092a864886f70d010701") + b"\xa0\x80" + octets + bytes(4)
    algorithm = bytes.fromhex("300d060b2a864886f70d0109100308")
    return bytes.fromhex("3080060b2a864886f70d0109100109a0803080020100") + algorithm + data + bytes(6)


def as_enveloped(mime: bytes) -> bytes:
    """What Graph gives of an encrypted report: CMS enveloped-data that nobody here has the key of."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(report_body(mime))
    sealed = builder.add_recipient(certificate_of(key))
    return sealed.encrypt(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])


@functools.cache
def signer() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A key for this run and its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key, certificate_of(key)


def certificate_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> x509.Certificate:
    """A certificate of the key, signed with a key of its own."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sample reporter")])
    issuer = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = builder.not_valid_before(VALID_FROM).not_valid_after(VALID_FROM + timedelta(days=3650))
    return dated.serial_number(x509.random_serial_number()).sign(issuer, hashes.SHA256())


# --- All of them ------------------------------------------------------------------------------------------------------

Wrap = Callable[[bytes], bytes]

VERBATIM: Mapping[str, Wrap] = MappingProxyType(
    {
        "bare": bytes,
        "winmail_eml": as_winmail_eml,
        "clear_signed": as_clear_signed,
        "opaque_signed": as_opaque_signed,
        "report_of_report": report_of_report,
        "report_in_signed": lambda mime: as_clear_signed(report_of_report(mime)),
    }
)
"""Wrappings out of which the original comes octet for octet."""
CONVERTED: Mapping[str, Wrap] = MappingProxyType(
    {
        "msg": as_msg,
        "winmail_item": as_winmail_item,
        "report_in_msg": lambda mime: as_msg(report_of_report(mime)),
        "msg_in_report": lambda mime: delivered_report(
            multipart("mixed", text_part(), file_part(as_msg(mime), "application/vnd.ms-outlook", "Original.msg"))
        ),
    }
)
"""Wrappings out of which comes a mail written from what Outlook holds of the original."""
