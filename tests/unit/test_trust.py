"""Only one of the tenant's people can make the app act: every way to pass for one fails."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.sample_tenant.directory import DOMAINS, PEOPLE, TENANT_ID
from local.sample_tenant.wrappers import write_report
from shared.domain.headers import headers_of, read_headers
from shared.domain.tenant import Tenant
from shared.domain.trust import distrust

TENANT = Tenant("0e5c3a52-6c1e-4b5e-9d3f-2f6a7b8c9d01", frozenset({"contoso.example", "fabrikam.example"}))
RITA = "rita@contoso.example"
OTHER_TENANT = "11111111-2222-4333-8444-555555555555"

FROM = ("From", f"Rita <{RITA}>")
RECEIVED = ("Received", "from mail.evil.example (192.0.2.7) by mx.contoso.example; Tue, 3 Nov 2026 08:00:01 +0000")
INTERNAL = ("X-MS-Exchange-Organization-AuthAs", "Internal")
ANONYMOUS = ("X-MS-Exchange-Organization-AuthAs", "Anonymous")
CROSS_INTERNAL = ("X-MS-Exchange-CrossTenant-AuthAs", "Internal")
CROSS_ID = ("X-MS-Exchange-CrossTenant-Id", TENANT.tenant_id)
FROM_INSIDE = (FROM, RECEIVED, INTERNAL, CROSS_INTERNAL, CROSS_ID)


def results(from_domain: str = "contoso.example", dmarc: str = "pass", composite: str = "pass") -> tuple[str, str]:
    """Return the Authentication-Results that Exchange writes for mail from outside."""
    value = (
        "spf=pass (sender IP is 192.0.2.7) smtp.mailfrom=button.example; dkim=pass (signature was verified)"
        f" header.d={from_domain};dmarc={dmarc} action=none header.from={from_domain};compauth={composite} reason=100"
    )
    return "Authentication-Results", value


FROM_A_BUTTON = (FROM, RECEIVED, ANONYMOUS, results())


def judge(*headers: tuple[str, str], sender: str | None = RITA) -> str | None:
    """Return why the report with these headers is not trusted."""
    return distrust(headers_of(headers), sender, TENANT)


def without(headers: Iterable[tuple[str, str]], *names: str) -> tuple[tuple[str, str], ...]:
    """Return the headers without those of these names."""
    return tuple(header for header in headers if header[0] not in names)


# --- Trusted --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        FROM_INSIDE,
        without(FROM_INSIDE, "From"),
        without(FROM_INSIDE, CROSS_INTERNAL[0], CROSS_ID[0]),
        (*FROM_INSIDE, CROSS_ID),
        (*without(FROM_INSIDE, CROSS_ID[0]), (CROSS_ID[0].lower(), TENANT.tenant_id.upper())),
        (*FROM_INSIDE, ("Sender", "Assistant <ann@contoso.example>")),
        (*FROM_INSIDE, ("Authentication-Results", results("fabrikam.example", "none", "none")[1])),
        (*FROM_INSIDE, ("Authentication-Results", "mx.relay.example; dmarc=fail header.from=evil.example")),
        (("From", '"Help, <help@evil.example>" <RITA@Contoso.example>'), *FROM_INSIDE[1:]),
    ],
)
def test_internal_authenticated_reporters_are_trusted(headers: tuple[tuple[str, str], ...]) -> None:
    """From is of the tenant and Exchange authenticated it: no optional header has to be there."""
    assert judge(*headers) is None


def test_buttons_that_send_through_their_makers_servers_are_trusted() -> None:
    """From outside, DMARC and compauth have to pass for the domain of From."""
    assert judge(*FROM_A_BUTTON) is None
    assert judge(*FROM_A_BUTTON, (CROSS_ID[0], OTHER_TENANT)) is None  # what the sending tenant said is no matter


def test_a_mail_without_headers_is_not_trusted() -> None:
    """A program put it there, or Graph keeps them back: nothing tells who sent it."""
    assert "no headers" in (judge() or "")


@pytest.mark.parametrize("reporter", PEOPLE)
def test_the_sample_tenants_reports_are_trusted(reporter: str) -> None:
    """The simulator's internal reports carry what Exchange writes."""
    tenant = Tenant(TENANT_ID, frozenset(DOMAINS))
    at = datetime(2026, 11, 24, tzinfo=UTC)
    report = write_report("3|", (), reporter=reporter, received_at=at, mailbox="phish-reports@contoso.example")
    assert distrust(headers_of(report.headers), reporter, tenant) is None
    assert distrust(headers_of(report.headers), reporter, replace(tenant, tenant_id=OTHER_TENANT)) is not None
    outside = write_report("3|", (), reporter="x@evil.example", received_at=at, mailbox="phish-reports@contoso.example")
    for sender in ("x@evil.example", reporter):
        assert distrust(headers_of(outside.headers), sender, tenant) is not None


# --- A spoofed internal sender --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sender", [None, "", "rita", "rita@contoso.example.evil.example", "rita@evil.example"])
def test_outside_sender(sender: str | None) -> None:
    """An address outside the tenant is not trusted, whatever the headers say."""
    assert "TENANT_DOMAINS" in (judge(*FROM_INSIDE, sender=sender) or "")


@pytest.mark.parametrize("sender", ["rita@mail.contoso.example", "rita@notcontoso.example", "rita@contoso.example "])
def test_lookalike_sender(sender: str) -> None:
    """A domain that contains the tenant's is another domain."""
    assert judge(*FROM_INSIDE, sender=sender) is not None


@pytest.mark.parametrize(
    "headers",
    [
        (FROM, RECEIVED),
        (RECEIVED,),
        (FROM, RECEIVED, results()),
        (FROM, RECEIVED, CROSS_INTERNAL, CROSS_ID),
        (FROM, RECEIVED, ("X-MS-Exchange-Organization-AuthAs", "Partner")),
        (FROM, RECEIVED, ("X-MS-Exchange-Organization-AuthSource", "EXCH01.contoso.example")),
        (FROM, RECEIVED, ("X-Organization-AuthAs", "Internal")),
        (FROM, RECEIVED, ("X-MS-Exchange-Forest-AuthAs", "Internal")),
        (*FROM_INSIDE, ANONYMOUS),
        (ANONYMOUS, *FROM_INSIDE),
        (*FROM_INSIDE, INTERNAL),
        (*FROM_A_BUTTON, ANONYMOUS),
    ],
)
def test_forged_auth_as(headers: tuple[tuple[str, str], ...]) -> None:
    """Without AuthAs, with an unknown one or with two, nobody vouches for the sender."""
    assert "AuthAs" in (judge(*headers) or "")


@pytest.mark.parametrize(
    "cross",
    [
        ((CROSS_ID[0], OTHER_TENANT),),
        (CROSS_ID, (CROSS_ID[0], OTHER_TENANT)),
        ((CROSS_ID[0], ""),),
        ((CROSS_ID[0], f"{TENANT.tenant_id} {OTHER_TENANT}"),),
        (("X-MS-Exchange-CrossTenant-AuthAs", "Anonymous"), CROSS_ID),
        (CROSS_INTERNAL, ("X-MS-Exchange-CrossTenant-AuthAs", "Anonymous"), CROSS_ID),
    ],
)
def test_authenticated_in_another_tenant(cross: tuple[tuple[str, str], ...]) -> None:
    """Internal somewhere else is not internal here; every copy has to agree."""
    assert judge(FROM, RECEIVED, INTERNAL, *cross) is not None


@pytest.mark.parametrize(
    "written",
    [
        ("Rita <rita@contoso.example>", "Mallory <mallory@evil.example>"),
        ("Mallory <mallory@evil.example>", "Rita <rita@contoso.example>"),
        ("Rita <rita@contoso.example>", "Rita <rita@contoso.example>"),
        ("Mallory <mallory@evil.example>",),
        ("rita@contoso.example, mallory@evil.example",),
        ("rita@contoso.example, ann@contoso.example",),
        ('"rita@contoso.example" <mallory@evil.example>',),
        ("<rita@contoso.example> <mallory@evil.example>",),
        ("(<rita@contoso.example>) mallory@evil.example",),
        ("rita@contoso.example\x00@evil.example",),
        ("Rita",),
        ("",),
    ],
)
@pytest.mark.parametrize("headers", [FROM_INSIDE, FROM_A_BUTTON], ids=["internal", "button"])
def test_ambiguous_from(headers: tuple[tuple[str, str], ...], written: tuple[str, ...]) -> None:
    """From has to stand once and name one address of the tenant: else another reader may see another sender."""
    assert "From" in (judge(*(("From", value) for value in written), *without(headers, "From")) or "")


def test_exchange_saw_another_from() -> None:
    """Where Exchange's results name another domain than the tenant's, From was changed afterwards."""
    seen = ("Authentication-Results", "dkim=none header.d=none;dmarc=none action=none header.from=evil.example;")
    assert "header.from" in (judge(*FROM_INSIDE, seen) or "")
    assert "header.from" in (judge(FROM, ANONYMOUS, results("evil.example")) or "")


@pytest.mark.parametrize(
    ("dmarc", "composite"),
    [
        *(("fail", "pass"), ("none", "pass"), ("bestguesspass", "pass"), ("permerror", "pass")),
        *(("pass", "fail"), ("pass", "none"), ("pass", "softpass"), ("fail", "fail")),
    ],
)
def test_spoofed_from_outside(dmarc: str, composite: str) -> None:
    """From outside both DMARC and compauth have to pass: a domain without DMARC cannot tell its own mail."""
    assert "DMARC" in (judge(FROM, RECEIVED, ANONYMOUS, results(dmarc=dmarc, composite=composite)) or "")


def test_spoofed_from_outside_without_judgement() -> None:
    """Results without compauth, as a relay writes them, are not enough."""
    name, value = results()
    assert judge(FROM, RECEIVED, ANONYMOUS, (name, value.partition(";compauth")[0])) is not None


def test_one_tenant_domain_for_another() -> None:
    """A server that may send for one of the tenant's domains may not for the other."""
    assert "another domain" in (judge(FROM, RECEIVED, ANONYMOUS, results("fabrikam.example")) or "")


@pytest.mark.parametrize(
    "forged",
    [
        (),
        (results(), results(dmarc="fail", composite="fail")),
        (results(dmarc="fail", composite="fail"), results()),
        (results(), results()),
        (("Authentication-Results-Original", results()[1]),),
        (("ARC-Authentication-Results", f"i=1; mx.microsoft.com 1; {results()[1]}"),),
        (("X-MS-Exchange-Authentication-Results", results()[1]),),
        (("Authentication-Results", f"mx.contoso.example; {results()[1]}"),),
        (("Authentication-Results", "dmarc=pass header.from=contoso.example;compauth=pass reason=100"),),
    ],
    ids=["none", "above", "below", "copied", "original", "sealed", "relayed", "named", "short"],
)
def test_forged_authentication_results(forged: tuple[tuple[str, str], ...]) -> None:
    """Results that Exchange did not write, or may not have written, do not make a stranger a reporter."""
    assert "Authentication-Results" in (judge(FROM, RECEIVED, ANONYMOUS, *forged) or "")


def test_forged_results_beside_exchanges_fail() -> None:
    """The results that Exchange wrote stay the only ones when a stranger's come under another name."""
    exchanges = results(dmarc="fail", composite="fail")
    for name in ("Authentication-Results-Original", "ARC-Authentication-Results"):
        assert "DMARC" in (judge((name, results()[1]), FROM, ANONYMOUS, exchanges) or "")


def test_real_mail_rewritten_to_the_tenant(reported_mail: list[Path]) -> None:
    """No real external mail passes for an internal report, even with its From rewritten to the tenant's domain."""
    for path in reported_mail:
        fields = {name: list(values) for name, values in read_headers(path.read_bytes()).fields.items()}
        rewritten = [(name, value) for name, values in fields.items() for value in values if name != "from"]
        assert distrust(headers_of([FROM, *rewritten]), RITA, TENANT) is not None
        assert distrust(headers_of([*rewritten, CROSS_INTERNAL, CROSS_ID]), RITA, TENANT) is not None


_ANY_HEADER = st.tuples(
    st.sampled_from(["From", RECEIVED[0], INTERNAL[0], CROSS_INTERNAL[0], CROSS_ID[0], "Authentication-Results"]),
    st.sampled_from([RITA, "Internal", "Anonymous", TENANT.tenant_id, results()[1]]) | st.text(max_size=20),
)


@given(st.lists(_ANY_HEADER, max_size=8), st.none() | st.just(RITA) | st.text(max_size=20))
def test_any_headers_are_judged(headers: list[tuple[str, str]], sender: str | None) -> None:
    """There is always an answer, and trust never without the tenant's address and one clear word of Exchange."""
    if judge(*headers, sender=sender) is None:
        assert TENANT.owns(sender)
        words = [value.strip().lower() for name, value in headers if name == INTERNAL[0]]
        assert words in (["internal"], ["anonymous"]) or not headers
        assert words != ["anonymous"] or results() in headers


@given(st.lists(_ANY_HEADER, max_size=8), st.sampled_from(["", "@contoso.example", "@evil.example"]))
def test_a_reason_repeats_nothing(headers: list[tuple[str, str]], ending: str) -> None:
    """A reason goes to a table that people read: it repeats neither the sender nor a header's value."""
    marked = [(name, f"zebra {value}") for name, value in headers]
    assert "zebra" not in (judge(*marked, sender=f"zebra{ending}") or "")
