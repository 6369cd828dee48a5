"""What Exchange wrote into a mail is read, and nothing that a stranger wrote passes for it."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.exchange import ExchangeFacts, exchange_facts
from shared.domain.headers import headers_of, read_headers

AUTH_AS = ("X-MS-Exchange-Organization-AuthAs", "Anonymous")
RESULTS = (
    "Authentication-Results",
    (
        "spf=pass (sender IP is 192.0.2.7) smtp.mailfrom=Bounce.Vendor.example; dkim=pass (signature was verified)"
        " header.d=vendor.example;dkim=fail (body hash did not verify) header.d=other.example;"
        "dmarc=pass action=none header.from=Vendor.example;compauth=pass reason=100"
    ),
)
REPORT = ("X-Forefront-Antispam-Report", "CIP:192.0.2.7;CTRY:NL;LANG:en;SCL:1;SFV:NSPM;H:mx.vendor.example;")
FORGED_RESULTS = (
    "Authentication-Results",
    (
        "spf=pass (sender IP is 198.51.100.9) smtp.mailfrom=knowbe4.com; dkim=pass (signature was verified)"
        " header.d=knowbe4.com;dmarc=pass action=none header.from=contoso.example;compauth=pass reason=100"
    ),
)
ALL = ExchangeFacts(
    auth_as="anonymous",
    from_domain="vendor.example",
    dmarc="pass",
    composite="pass",
    spf_domain="bounce.vendor.example",
    dkim_domains=frozenset({"vendor.example"}),
    connecting_ip="192.0.2.7",
)
NOTHING = ExchangeFacts(auth_as="anonymous")


def facts(*headers: tuple[str, str]) -> ExchangeFacts:
    """Return what Exchange says in these headers, top down."""
    return exchange_facts(headers_of(headers))


def with_results(value: str) -> ExchangeFacts:
    """Return the facts of a mail from outside with these Authentication-Results."""
    return facts(AUTH_AS, ("Authentication-Results", value), REPORT)


def test_exchanges_own_headers_are_read() -> None:
    """Each fact of a mail from outside: who, from where, what passed for which domain."""
    assert facts(REPORT, RESULTS, AUTH_AS) == ALL


def test_folded_headers_are_read() -> None:
    """Exchange folds its headers at white space, which changes nothing."""
    folded = "\r\n".join(f"{name}: {value}".replace("; ", ";\r\n ") for name, value in (AUTH_AS, RESULTS, REPORT))
    assert exchange_facts(read_headers(f"{folded}\r\n\r\nHello".encode())) == ALL


def test_internal_mail_has_one_fact_more() -> None:
    """Of a mail from inside only AuthAs and From's domain are known: nothing else was checked."""
    value = "dkim=none (message not signed) header.d=none;dmarc=none action=none header.from=contoso.example;"
    internal = ("X-MS-Exchange-Organization-AuthAs", "Internal")
    found = facts(internal, ("Authentication-Results", value))
    assert found == ExchangeFacts(auth_as="internal", from_domain="contoso.example")


def test_insider_forges_results() -> None:
    """An internal sender who writes his own results gets no pass out of them."""
    found = facts(("X-MS-Exchange-Organization-AuthAs", "Internal"), FORGED_RESULTS, REPORT)
    assert (found.dmarc, found.composite, found.spf_domain, found.connecting_ip) == (None, None, None, None)
    assert not found.dkim_domains


@pytest.mark.parametrize(
    ("values", "auth_as"),
    [
        ((), None),
        (("Internal",), "internal"),
        (("INTERNAL",), "internal"),
        (("Anonymous",), "anonymous"),
        (("Partner",), None),
        (("Internal", "Anonymous"), None),
        (("Anonymous", "Internal"), None),
        (("Internal", "Internal"), None),
        (("Internal; x",), None),
        (("Internal Anonymous",), None),
    ],
)
def test_forged_auth_as(values: tuple[str, ...], auth_as: str | None) -> None:
    """AuthAs counts if it stands once with a known word; a second copy means that one of them is forged."""
    assert facts(*(("X-MS-Exchange-Organization-AuthAs", value) for value in values)).auth_as == auth_as


@pytest.mark.parametrize(
    "headers",
    [(FORGED_RESULTS, RESULTS), (RESULTS, FORGED_RESULTS), (RESULTS, RESULTS), (FORGED_RESULTS, RESULTS, RESULTS)],
    ids=["above", "below", "copied", "many"],
)
def test_forged_results_beside_exchanges(headers: tuple[tuple[str, str], ...]) -> None:
    """With two Authentication-Results nobody can tell whose is whose: none is believed, wherever it stands."""
    assert facts(AUTH_AS, *headers, REPORT) == NOTHING


@pytest.mark.parametrize(
    "name",
    [
        "Authentication-Results-Original",
        "ARC-Authentication-Results",
        "X-MS-Exchange-Authentication-Results",
        "X-Authentication-Results",
        "Received-SPF",
    ],
)
def test_results_under_another_name(name: str) -> None:
    """Renamed, sealed and foreign results are not Exchange's: alone they say nothing, beside its own nothing more."""
    forged = (name, FORGED_RESULTS[1])
    assert facts(AUTH_AS, forged, REPORT) == NOTHING
    assert facts(AUTH_AS, forged, RESULTS, REPORT) == ALL


@pytest.mark.parametrize(
    "value",
    [
        f"mx.google.com; {RESULTS[1]}",
        f"contoso.example; {RESULTS[1]}",
        f"{RESULTS[1]}; dkim=pass header.d=knowbe4.com",
        RESULTS[1].replace("dkim=pass", "(x) dkim=pass"),
        RESULTS[1].replace("header.from=Vendor.example", "header.from=Vendor.example;compauth=pass reason=100"),
        RESULTS[1].replace("header.from=Vendor.example", "header.from=knowbe4.com header.from=Vendor.example"),
        RESULTS[1].replace("Bounce.Vendor.example", "a@knowbe4.com"),
        RESULTS[1].replace("mailfrom=Bounce.Vendor.example", "helo=x;dkim=pass (y) header.d=knowbe4.com"),
        RESULTS[1].replace("mailfrom", "helo"),
        RESULTS[1].replace("header.d=vendor.example", "header.d=knowbe4.com header.d=vendor.example"),
        RESULTS[1].replace("dmarc=pass", "dmarc=fail").replace("Vendor.example;", "Vendor.example;dmarc=pass;"),
        RESULTS[1].replace("192.0.2.7", "192.0.2.7) smtp.mailfrom=knowbe4.com; dkim=none (x"),
        RESULTS[1].replace("header.from=Vendor.example", "header.from="),
        RESULTS[1].replace("; dkim", ";" + " " * 9_000 + "dkim"),
        "=?utf-8?B?c3BmPXBhc3M=?=",
        "",
    ],
)
def test_results_in_another_form(value: str) -> None:
    """A stranger's domains cannot smuggle a result in: what is not Exchange's form to the last letter gives nothing."""
    assert with_results(value) == NOTHING


@pytest.mark.parametrize("word", ["fail", "softfail", "none", "bypass"])
def test_spf_that_did_not_pass(word: str) -> None:
    """Only a pass names the envelope sender's domain."""
    found = with_results(RESULTS[1].replace("spf=pass", f"spf={word}"))
    assert found.spf_domain is None
    assert found.dkim_domains == {"vendor.example"}


@pytest.mark.parametrize("word", ["fail", "none", "timeout", "passed"])
def test_dkim_that_did_not_pass(word: str) -> None:
    """A signature that was not verified names no domain, whatever it claims."""
    assert with_results(RESULTS[1].replace("dkim=pass", f"dkim={word}")).dkim_domains == frozenset()


@pytest.mark.parametrize(
    "reports",
    [
        (),
        ("CIP:192.0.2.7;CTRY:NL", "CIP:198.51.100.9;"),
        ("CIP:198.51.100.9;", "CIP:192.0.2.7;CTRY:NL"),
        ("CIP:192.0.2.7;CIP:192.0.2.7;",),
        ("CIP:198.51.100.9;CTRY:NL",),
        ("CTRY:NL;H:CIP:192.0.2.7;",),
        ("CIP:;",),
        ("CIP:255.255.255.255;",),
        ("CIP:192.0.2.7 198.51.100.9;",),
    ],
)
def test_forged_connecting_ip(reports: tuple[str, ...]) -> None:
    """The connecting address is known if it stands once and is the one that SPF was checked for."""
    found = facts(AUTH_AS, RESULTS, *(("X-Forefront-Antispam-Report", report) for report in reports))
    assert found.connecting_ip is None
    assert found.dmarc == "pass"


@pytest.mark.parametrize("name", ["X-Forefront-Antispam-Report-Untrusted", "X-Sender-IP", "X-Originating-IP"])
def test_connecting_ip_under_another_name(name: str) -> None:
    """Renamed and foreign headers name no connecting address."""
    assert facts(AUTH_AS, RESULTS, (name, REPORT[1])).connecting_ip is None


def test_one_address_in_two_spellings() -> None:
    """Addresses are compared, not their spelling."""
    results = RESULTS[1].replace("192.0.2.7", "2001:DB8:0::7")
    report = ("X-Forefront-Antispam-Report", "CTRY:NL; CIP:2001:db8::7;")
    assert facts(AUTH_AS, ("Authentication-Results", results), report).connecting_ip == "2001:db8::7"


@pytest.mark.parametrize(
    ("domain", "is_vouched_for"),
    [
        ("vendor.example", True),
        ("bounce.vendor.example", True),
        ("dor.example", False),
        ("example", True),
        ("evil.vendor.example", False),
        ("other.example", False),
    ],
)
def test_vouching_reaches_downward(domain: str, is_vouched_for: bool) -> None:
    """A pass for a domain speaks for those above it that own it, not for one that merely ends alike."""
    assert ALL.vouches_for(domain) == is_vouched_for


def test_without_exchange_nothing_is_believed() -> None:
    """A mail without AuthAs was not delivered by Exchange Online: anybody could have written its results."""
    assert facts(FORGED_RESULTS, REPORT) == ExchangeFacts()


def test_real_mail(reported_mail: list[Path]) -> None:
    """In real mail the form is Exchange's own: all results are read but those cut by redaction or hostile domains."""
    headers = [read_headers(path.read_bytes()) for path in reported_mail]
    found = [exchange_facts(one) for one in headers]
    delivered = [one for one in found if one.auth_as is not None]
    assert {one.auth_as for one in delivered} == {"anonymous"}
    assert len(delivered) >= 0.95 * len(found)
    assert sum(one.from_domain is not None for one in delivered) >= 0.9 * len(delivered)
    for one, read in zip(headers, found, strict=True):
        (written, *others) = [*one.values("authentication-results"), ""]
        assert (read.dmarc is None) or (re.findall(r"\bdmarc=(\w+)", written) == [read.dmarc] and others == [""])


_PARTS = (
    *("spf=pass", " (sender IP is 192.0.2.7)", " smtp.mailfrom=a.example;", " dkim=pass", " (x) header.d=b.example;"),
    *("dmarc=pass", " action=none", " header.from=c.example", ";compauth=pass reason=100", ";", "CIP:192.0.2.7;"),
)
_PIECES = st.lists(st.sampled_from(_PARTS) | st.text(max_size=5), max_size=12).map("".join) | st.just(
    "".join(_PARTS[:9])
)


@given(_PIECES, _PIECES, st.sampled_from(["Internal", "Anonymous", ""]))
def test_any_headers_give_facts(results: str, report: str, auth_as: str) -> None:
    """Whatever stands in the headers, there is an answer, and it holds only what they say."""
    found = facts(
        ("X-MS-Exchange-Organization-AuthAs", auth_as),
        ("Authentication-Results", results),
        ("X-Forefront-Antispam-Report", report),
    )
    assert all(domain in results.lower() for domain in found.dkim_domains)
    assert found.spf_domain is None or "spf=pass" in results
    assert found.connecting_ip is None or (found.connecting_ip in results and found.connecting_ip in report)
