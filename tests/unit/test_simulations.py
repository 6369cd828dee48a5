"""Which original is a phishing simulation: a mark suppresses a report only with an origin or a secret behind it."""

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.exchange import exchange_facts
from shared.domain.headers import read_headers
from shared.domain.simulations import (
    MARKS,
    OWN_MARK,
    OwnMarks,
    SimulationMark,
    mark_headers,
    read_own_marks,
    simulation_of,
)

SECRET = "b3b1f0c9d6a24e7f"
OWN = read_own_marks(f"X-Acme-Exercise={SECRET}, @exercise.contoso.example, 203.0.113.0/24, 2001:db8::7")
STRANGERS_IP = "198.51.100.9"
WITH_HEADERS = [mark for mark in MARKS if mark.headers]
WITH_NETWORKS = [mark for mark in MARKS if mark.networks]
WITH_DOMAINS = [mark for mark in MARKS if mark.domains]


def name_of(mark: SimulationMark) -> str:
    """Return a mark's name for the list of tests."""
    return mark.vendor


def mail(*headers: str, ip: str = STRANGERS_IP, domain: str = "evil.example", spf: str = "pass") -> bytes:
    """Return a mail as Exchange delivered it: the sender's headers below its own."""
    return "\r\n".join(
        [
            f"Authentication-Results: spf={spf} (sender IP is {ip})",
            f" smtp.mailfrom={domain}; dkim=none (message not signed)",
            " header.d=none;dmarc=none action=none header.from=evil.example;compauth=pass reason=100",
            f"X-Forefront-Antispam-Report: CIP:{ip};CTRY:NL;LANG:en;SCL:1;",
            "X-MS-Exchange-Organization-AuthAs: Anonymous",
            *headers,
            "",
            "Click here.",
        ]
    ).encode()


def recognise(content: bytes, own: OwnMarks = OWN) -> str | None:
    """Return which simulation the mail is."""
    headers = read_headers(content, mark_headers(own))
    return simulation_of(headers, exchange_facts(headers), own)


def marked(mark: SimulationMark) -> list[str]:
    """Return all header lines that a vendor's mails may bear."""
    return [f"{name}: This is a phishing security test" for name in sorted(mark.headers)]


def an_address(mark: SimulationMark) -> str:
    """Return the last address of the vendor's last network."""
    return str(mark.networks[-1][-1])


# --- Recognised -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", WITH_NETWORKS, ids=name_of)
def test_a_vendors_mail_from_its_addresses(mark: SimulationMark) -> None:
    """One of its headers, if it has any, and a connecting address in its range make a simulation."""
    for line in marked(mark)[:1] or [""]:
        headers = [line] if line else []
        assert recognise(mail(*headers, ip=an_address(mark))) == mark.vendor
        assert recognise(mail(*map(str.upper, headers), ip=str(mark.networks[0][0]))) == mark.vendor


@pytest.mark.parametrize("mark", WITH_DOMAINS, ids=name_of)
def test_a_vendors_mail_from_its_domain(mark: SimulationMark) -> None:
    """One of its headers, if it has any, and a pass for its domain make a simulation."""
    for domain in mark.domains:
        assert recognise(mail(*marked(mark), domain=f"psm.{domain}")) == mark.vendor


@pytest.mark.parametrize(
    "content",
    [
        mail(f"X-Acme-Exercise: {SECRET}"),
        mail("x-acme-exercise: something else", f"X-ACME-EXERCISE:{SECRET} "),
        mail(domain="exercise.contoso.example"),
        mail(domain="Mail.Exercise.Contoso.example"),
        mail(ip="203.0.113.255"),
        mail(ip="2001:DB8:0::7"),
        f"X-Acme-Exercise: {SECRET}\r\nSubject: put straight into the mailbox\r\n\r\n".encode(),
    ],
)
def test_own_marks(content: bytes) -> None:
    """Each own mark counts by itself: the secret, the domain that passed, the connecting address."""
    assert recognise(content) == OWN_MARK
    assert recognise(content, OwnMarks()) is None


# --- Forged ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", MARKS, ids=name_of)
def test_forged_simulation_mark(mark: SimulationMark) -> None:
    """A vendor's headers, all of them, suppress nothing: anybody can write them."""
    assert recognise(mail(*marked(mark))) is None
    assert recognise("\r\n".join([*marked(mark), "", ""]).encode()) is None


def test_forged_marks_of_all_vendors() -> None:
    """Nor do the headers of all vendors together."""
    assert recognise(mail(*(line for mark in MARKS for line in marked(mark)))) is None


@pytest.mark.parametrize("mark", WITH_HEADERS, ids=name_of)
def test_a_vendors_other_mail(mark: SimulationMark) -> None:
    """A vendor with fixed headers also sends other mail: without them it is no simulation."""
    for domain in mark.domains:
        assert recognise(mail(domain=domain)) is None
    if mark.networks:
        assert recognise(mail(ip=an_address(mark))) is None


@pytest.mark.parametrize("mark", WITH_NETWORKS, ids=name_of)
@pytest.mark.parametrize(
    "forged",
    [
        "X-Forefront-Antispam-Report: CIP:{ip};CTRY:US;",
        "X-Forefront-Antispam-Report-Untrusted: CIP:{ip};CTRY:US;",
        "X-Sender-IP: {ip}",
        "X-Originating-IP: [{ip}]",
        "Received: from psm.knowbe4.com ({ip}) by mx.contoso.example; Tue, 3 Nov 2026 08:00:01 +0000",
        "Received-SPF: Pass (protection.outlook.com: designates {ip} as permitted sender) client-ip={ip};",
        "ARC-Authentication-Results: i=1; mx.microsoft.com 1; spf=pass (sender ip is {ip})",
        "X-MS-Exchange-CrossTenant-OriginalAttributedTenantConnectingIp: TenantId=x;Ip=[{ip}];Helo=[x]",
    ],
)
def test_forged_connecting_ip(mark: SimulationMark, forged: str) -> None:
    """A vendor's address counts only where Exchange itself wrote it."""
    assert recognise(mail(*marked(mark), forged.format(ip=an_address(mark)))) is None


@pytest.mark.parametrize("mark", WITH_NETWORKS, ids=name_of)
def test_forged_connecting_ip_alone(mark: SimulationMark) -> None:
    """Neither does it count in one of the two headers that have to agree."""
    ip = an_address(mark)
    content = mail(*marked(mark), ip=ip)
    assert recognise(content.replace(f"CIP:{ip}".encode(), f"CIP:{STRANGERS_IP}".encode())) is None
    assert recognise(content.replace(f"IP is {ip}".encode(), f"IP is {STRANGERS_IP}".encode())) is None


@pytest.mark.parametrize("mark", MARKS, ids=name_of)
def test_forged_authentication_results(mark: SimulationMark) -> None:
    """A pass that the sender wrote, above, below or under another name, vouches for nothing."""
    domain = next(iter(mark.domains), "vendor.example")
    ip = an_address(mark) if mark.networks else STRANGERS_IP
    value = (
        f"spf=pass (sender IP is {ip}) smtp.mailfrom={domain}; dkim=pass (signature was verified) header.d={domain};"
        f"dmarc=pass action=none header.from={domain};compauth=pass reason=100"
    )
    genuine = mail(*marked(mark))
    for name in ("Authentication-Results", "Authentication-Results-Original", "ARC-Authentication-Results"):
        line = f"{name}: {value}".encode()
        assert recognise(line + b"\r\n" + genuine) is None
        assert recognise(genuine.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")) is None
    undelivered = [f"Authentication-Results: {value}", f"X-Forefront-Antispam-Report: CIP:{ip};", *marked(mark), "", ""]
    assert recognise("\r\n".join(undelivered).encode()) is None


@pytest.mark.parametrize("mark", WITH_DOMAINS, ids=name_of)
def test_spoofed_vendor_domain(mark: SimulationMark) -> None:
    """The vendor's domain without a pass, or inside another domain, is not the vendor."""
    for domain in mark.domains:
        assert recognise(mail(*marked(mark), domain=domain, spf="fail")) is None
        assert recognise(mail(*marked(mark), domain=f"{domain}.evil.example")) is None
        assert recognise(mail(*marked(mark), domain=f"not{domain}")) is None


@pytest.mark.parametrize("mark", MARKS, ids=name_of)
def test_simulation_from_inside(mark: SimulationMark) -> None:
    """Who is authenticated as internal may write results himself: no origin is believed there."""
    ip = an_address(mark) if mark.networks else STRANGERS_IP
    content = mail(*marked(mark), ip=ip, domain=next(iter(mark.domains), "vendor.example"))
    for auth_as in (
        b"AuthAs: Internal",
        b"AuthAs: Partner",
        b"AuthAs: Anonymous\r\nX-MS-Exchange-Organization-AuthAs: x",
    ):
        assert recognise(content.replace(b"AuthAs: Anonymous", auth_as)) is None


@pytest.mark.parametrize(
    "content",
    [
        mail(f"X-Acme-Exercise: {SECRET.upper()}"),
        mail(f"X-Acme-Exercise: {SECRET}0"),
        mail(f"X-Acme-Exercise: a {SECRET}"),
        mail("X-Acme-Exercise:"),
        mail(f"X-Acme: {SECRET}"),
        mail(f"Subject: X-Acme-Exercise: {SECRET}"),
        mail() + f"X-Acme-Exercise: {SECRET}\r\n".encode(),
        mail(domain="contoso.example"),
        mail(domain="exercise.contoso.example", spf="softfail"),
        mail(ip="203.0.114.1"),
    ],
)
def test_guessed_own_marks(content: bytes) -> None:
    """The secret counts as a whole, in its header; near misses of domain and network are none."""
    assert recognise(content) is None


def test_no_real_mail_is_a_simulation(reported_mail: list[Path]) -> None:
    """None of the real mails is one, also not with every vendor's headers written into it."""
    forged = "".join(f"{line}\r\n" for mark in MARKS for line in marked(mark)).encode()
    for path in reported_mail:
        assert recognise(path.read_bytes()) is None
        assert recognise(forged + path.read_bytes()) is None


# --- The table and the setting --------------------------------------------------------------------------------------


def test_every_mark_has_an_origin() -> None:
    """No row of the table can count by its headers alone, and no network is wider than a vendor's."""
    assert len({mark.vendor for mark in MARKS}) == len(MARKS)
    for mark in MARKS:
        assert mark.domains or mark.networks
        assert all(network.is_global and network.num_addresses <= 256 for network in mark.networks)
        assert all(name == name.lower() and not name.startswith("x-ms-") for name in mark.headers)


def test_all_headers_are_kept() -> None:
    """What `simulation_of` looks at is named for `read_headers`: the vendors' headers and the tenant's own."""
    assert mark_headers(OwnMarks()) == {name for mark in MARKS for name in mark.headers}
    assert mark_headers(OWN) == mark_headers(OwnMarks()) | {"x-acme-exercise"}


def test_own_marks_are_read() -> None:
    """Names and domains are compared in lower case; a secret may hold anything but white space and commas."""
    assert read_own_marks(" ") == OwnMarks()
    found = read_own_marks("X-A=abc=def;ghi/jkl+mno==,@Contoso.example , 192.0.2.1,2001:db8::/32")
    assert found.secrets == (("x-a", "abc=def;ghi/jkl+mno=="),)
    assert found.domains == {"contoso.example"}
    assert found.networks == (ipaddress.ip_network("192.0.2.1/32"), ipaddress.ip_network("2001:db8::/32"))
    assert "abc=def" not in repr(found)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("X-PHISHTEST", "anybody can write"),
        ("X-PHISHTEST=", "needs a secret"),
        ("X-PHISHTEST=short", "needs a secret"),
        ("X-PHISHTEST=This is a phishing security test from KnowBe4 that has been authorized", "needs a secret"),
        (f"X-PHISHTEST=ä{SECRET}", "needs a secret"),
        (f"={SECRET}", "no header name"),
        (f"X PHISHTEST={SECRET}", "no header name"),
        (f"X-PHISHTEST:={SECRET}", "no header name"),
        ("@", "no domain"),
        ("@com", "no domain"),
        ("@a@b.example", "no domain"),
        ("a@b.example", "none of these"),
        ("0.0.0.0/0", "wider"),
        ("192.0.0.0/15", "wider"),
        ("2001::/31", "wider"),
        ("192.0.2.1/24", "none of these"),
        ("192.0.2", "none of these"),
        ("", "none of these"),
    ],
)
def test_wrong_own_marks_are_named(entry: str, why: str) -> None:
    """A wrong entry is told by its number and its rule, without what it holds."""
    with pytest.raises(ValueError, match=why) as caught:
        read_own_marks(f"192.0.2.1,{entry}")
    assert "entry 2" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "KnowBe4" not in str(caught.value)


_LINES = st.sampled_from([*(line for mark in MARKS for line in marked(mark)), f"X-Acme-Exercise: {SECRET}"])


@given(st.lists(_LINES | st.text(max_size=30), max_size=6), st.binary(max_size=50))
def test_any_mail_is_judged(lines: list[str], end: bytes) -> None:
    """There is always an answer; without an origin only the secret can make a simulation."""
    content = mail(*lines).replace(b"\r\n\r\n", end, 1)
    assert recognise(content) in ({None, OWN_MARK} if SECRET.encode() in content else {None})
    assert recognise(content, OwnMarks()) is None


@given(st.text("X-=@./:,0129ab \n", max_size=40) | st.text(max_size=20))
def test_any_setting_is_read_or_refused(text: str) -> None:
    """Any text gives marks or the one error; a mark that was accepted has an origin or a secret."""
    try:
        found = read_own_marks(text)
    except ValueError:
        return
    assert all(len(secret) >= 16 for _, secret in found.secrets)
    assert found.secrets or found.domains or found.networks or not text.strip()
