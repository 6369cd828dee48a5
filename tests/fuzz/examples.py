"""Inputs that Hypothesis makes: well-formed enough to reach what lies deep, odd in every place that a stranger fills.

A failing one is made small before it is told, which mutations cannot do.
"""

from hypothesis import strategies as st

from shared.formats.outlook_message import OutlookAttachment, OutlookMessage, OutlookRecipient, Property, RecipientKind
from tests.fuzz.mutations import HEADERS, TOKENS
from tests.support.outlook_writer import write_msg, write_winmail
from tests.support.report_formats import as_clear_signed, delivered_report, file_part, mail_part, multipart, text_part

BODIES = (Property.BODY, Property.HTML, Property.COMPRESSED_RTF, Property.TRANSPORT_HEADERS, Property.SUBJECT)
WORDS = ("anna.berg@contoso.example", "<a@lure.test>", "203.0.113.9", "0c9be1de-39a2-4e0f-9d27-5f6b5d2d6f51", "3|",
         "Phishing:", "Internal", "dmarc=pass", "header.from=contoso.example", "spf=pass (sender IP is 203.0.113.9)",
         'multipart/mixed; boundary="b"', "message/rfc822", "text/html; charset=utf-7", "base64", "quoted-printable",
         "--b", "--b--", "Network Message ID", "Sender", "Begin Email Headers", "----------", "\t", "\r\n")  # fmt: skip

pieces = st.one_of(
    st.sampled_from([word.encode() for word in WORDS]),
    st.sampled_from(TOKENS),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=20),
)
octets = st.lists(pieces, max_size=12).map(b"".join)
header = st.builds(lambda name, value: name + b": " + value + b"\r\n", st.sampled_from(HEADERS), octets)
header_block = st.lists(header, max_size=10).map(b"".join)
leaf = st.builds(lambda head, body: head + b"\r\n" + body, header_block, octets)
entity = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.builds(
            lambda kind, parts: multipart(kind, *parts),
            st.sampled_from(["mixed", "alternative", "digest"]),
            st.lists(inner, max_size=3),
        ),
        st.builds(mail_part, inner),
        st.builds(file_part, inner, st.sampled_from(WORDS), st.sampled_from(["a.eml", "winmail.dat", "a.msg"])),
        st.builds(lambda body: delivered_report(multipart("mixed", text_part(), mail_part(body))), inner),
        st.builds(as_clear_signed, inner),
    ),
    max_leaves=6,
)
texts = octets.map(lambda content: content.decode("utf-8", "replace").rstrip("\0"))
properties = st.dictionaries(st.sampled_from(list(Property)), texts, max_size=6) | st.dictionaries(
    st.sampled_from(BODIES), octets, max_size=4
)
recipient = st.builds(OutlookRecipient, st.sampled_from(RecipientKind), texts, texts)
message = st.recursive(
    st.builds(OutlookMessage, properties, st.lists(recipient, max_size=2).map(tuple)),
    lambda inner: st.builds(
        lambda known, held, name: OutlookMessage(known, attachments=(OutlookAttachment(held, name=name),)),
        properties,
        inner | entity,
        texts,
    ),
    max_leaves=3,
)

EXAMPLES: dict[str, st.SearchStrategy[bytes]] = {
    "mail": st.builds(lambda head, body: head + body, header_block, entity),
    "report": entity | message.map(write_msg) | message.map(write_winmail),
    "msg": message.map(write_msg),
    "winmail": message.map(write_winmail),
    "rtf": octets.map(lambda body: rb"{\rtf1\fromhtml1 " + body) | st.binary(max_size=200),
    "cms": octets,
    "text": octets,
    "subject": octets,
    "headers": header_block,
    "attachments": octets,
}
