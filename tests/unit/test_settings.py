"""Settings: right ones load, wrong ones are all named at once, and no secret is repeated."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.simulations import OwnMarks
from shared.settings import ReportingMailbox, Settings, SettingsError, setting_names

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE: dict[str, str] = json.loads((ROOT / "local.settings.example.json").read_text("utf-8"))["Values"]
IDENTITY = {
    "SubmissionsStorage__queueServiceUri": "https://acct.queue.core.windows.net/",
    "SubmissionsStorage__tableServiceUri": "https://acct.table.core.windows.net",
    "SubmissionsStorage__blobServiceUri": "https://acct.blob.core.windows.net",
    "SubmissionsStorage__credential": "managedidentity",
    "SubmissionsStorage__clientId": "0A7CBAE4-7D8E-4D0F-8D38-8B6A1F7C2E11",
}
CONTRACT_NAMES = {
    *("AzureWebJobsStorage", "SubmissionsStorage", *IDENTITY),
    *("TENANT_ID", "REPORTING_MAILBOXES", "TENANT_DOMAINS", "REPORT_DESTINATION", "SUBMISSION_MODE", "GRAPH_BASE_URL"),
    *("QUOTA_PER_15_MIN", "QUOTA_PER_DAY", "QUOTA_RESERVED_FOR_PEOPLE", "QUOTA_RESERVED_FOR_URGENT"),
    *("CAMPAIGN_REPRESENTATIVES", "VERDICT_DEADLINE_HOURS", "MAX_SUBMISSION_BYTES", "EVIDENCE_DAYS"),
    *("REPORTER_FEEDBACK", "FEEDBACK_MAILBOX", "FEEDBACK_LANGUAGE", "FEEDBACK_SIMULATIONS"),
    *("OUTCOMES_DAYS", "OUTCOMELOG_DAYS", "ITEMS_DAYS"),
    "SIMULATION_MARKS",
    *("USER_SUBMISSIONS", "DEFENDER_ALERTS", "HUNTING_QUERY", "HUNTING_CATEGORY"),
    *("COLLECT_SCHEDULE", "DISPATCH_SCHEDULE", "SETTLE_SCHEDULE"),
}


def load(**changes: str | None) -> Settings:
    """Load the example with these settings changed, or left out where None."""
    changed = {**EXAMPLE, **changes}
    return Settings.load({name: value for name, value in changed.items() if value is not None})


def problems(**changes: str | None) -> tuple[str, ...]:
    """Return what is wrong with the example once it is changed like this."""
    with pytest.raises(SettingsError) as caught:
        load(**changes)
    return caught.value.problems


def test_the_names_are_the_contracts() -> None:
    """The parser knows the contract's settings, no more and no fewer."""
    assert set(setting_names()) == CONTRACT_NAMES
    assert len(setting_names()) == len(CONTRACT_NAMES)


def test_the_example_lists_every_setting() -> None:
    """The example for local work names all settings but the identity's, which need Azure, and it loads."""
    assert set(EXAMPLE) - {"FUNCTIONS_WORKER_RUNTIME"} == CONTRACT_NAMES - IDENTITY.keys()
    settings = Settings.load(EXAMPLE)
    assert settings.is_local
    assert settings.reporting_mailboxes == (ReportingMailbox("phish-reports@contoso.example", "inbox"),)
    assert "127.0.0.1:10001" in (settings.submissions_storage.connection_string or "")


def test_defaults_are_the_contracts() -> None:
    """What may be left out, or left empty, has the contract's default."""
    required = {name: EXAMPLE[name] for name in EXAMPLE if name.endswith("_SCHEDULE") or name.startswith("TENANT")}
    required |= {name: EXAMPLE[name] for name in ("AzureWebJobsStorage", "SubmissionsStorage", "REPORTING_MAILBOXES")}
    settings = Settings.load({**required, "QUOTA_PER_DAY": " "})
    assert (settings.report_destination, settings.submission_mode) == ("auto", "live")
    assert settings.graph_base_url == "https://graph.microsoft.com"
    assert (settings.quota_per_15_min, settings.quota_per_day) == (150, 10_000)
    assert (settings.quota_reserved_for_people, settings.quota_reserved_for_urgent) == (10, 20)
    assert (settings.campaign_representatives, settings.verdict_deadline_hours) == (3, 72)
    assert (settings.max_submission_bytes, settings.evidence_days) == (3_000_000, 30)
    assert (settings.reporter_feedback, settings.feedback_language) == ("off", "en")
    assert (settings.feedback_mailbox, settings.feedback_simulations) == ("", "off")
    assert settings.simulation_marks == OwnMarks()
    assert not settings.is_local


def test_every_required_setting_is_missed_at_once() -> None:
    """Without any setting one error names every required one, the three schedules included."""
    with pytest.raises(SettingsError) as caught:
        Settings.load({})
    text = str(caught.value)
    for name in ("AzureWebJobsStorage", "SubmissionsStorage", "TENANT_ID", "REPORTING_MAILBOXES", "TENANT_DOMAINS"):
        assert f"{name} is missing" in text or f"{name}__queueServiceUri is missing" in text
    for name in ("COLLECT_SCHEDULE", "DISPATCH_SCHEDULE", "SETTLE_SCHEDULE"):
        assert f"{name} is missing" in text


def test_all_wrong_settings_are_named_together() -> None:
    """One error carries a line for each wrong setting, with its rule."""
    found = problems(TENANT_ID="contoso", QUOTA_PER_DAY="many", REPORT_DESTINATION="nowhere", EVIDENCE_DAYS=None)
    assert [line.split()[0] for line in found] == ["TENANT_ID", "REPORT_DESTINATION", "QUOTA_PER_DAY"]
    assert "from 1 to 10000" in found[2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TENANT_ID", "6b9d2f4e3c1a4f7e9a550d1c2e3f4a5b"),
        ("REPORTING_MAILBOXES", "contoso.example"),
        ("REPORTING_MAILBOXES", "a@contoso.example,"),
        ("REPORTING_MAILBOXES", "a@contoso.example/"),
        ("REPORTING_MAILBOXES", "a@contoso.example/x/y"),
        ("REPORTING_MAILBOXES", "a@contoso.example,A@contoso.example/Inbox"),
        ("REPORTING_MAILBOXES", "Reports <a@contoso.example>"),
        ("TENANT_DOMAINS", "@contoso.example"),
        ("TENANT_DOMAINS", "contoso.example;fabrikam.example"),
        ("REPORT_DESTINATION", "Mailbox"),
        ("SUBMISSION_MODE", "dry-run"),
        ("QUOTA_PER_15_MIN", "151"),
        ("QUOTA_PER_15_MIN", "0"),
        ("QUOTA_PER_15_MIN", "1e2"),
        ("QUOTA_PER_15_MIN", "٣"),  # a digit, but not one of ours
        ("QUOTA_PER_DAY", "10001"),
        ("QUOTA_RESERVED_FOR_PEOPLE", "-1"),
        ("CAMPAIGN_REPRESENTATIVES", "0"),
        ("CAMPAIGN_REPRESENTATIVES", "21"),
        ("VERDICT_DEADLINE_HOURS", "721"),
        ("MAX_SUBMISSION_BYTES", "3000001"),
        ("EVIDENCE_DAYS", "0"),
        ("REPORTER_FEEDBACK", "received"),
        ("REPORTER_FEEDBACK", "on"),
        ("FEEDBACK_MAILBOX", "answers"),
        ("FEEDBACK_MAILBOX", "a@contoso.example,b@contoso.example"),
        ("FEEDBACK_LANGUAGE", "English"),
        ("FEEDBACK_LANGUAGE", "../en"),
        ("FEEDBACK_SIMULATIONS", "yes"),
        ("OUTCOMES_DAYS", "29"),
        ("OUTCOMELOG_DAYS", "3651"),
        ("ITEMS_DAYS", "never"),
        ("SIMULATION_MARKS", "X-PHISHTEST"),
        ("SIMULATION_MARKS", "0.0.0.0/0"),
        ("USER_SUBMISSIONS", "yes"),
        ("DEFENDER_ALERTS", "On"),
        ("HUNTING_QUERY", "x" * 10_001),
        ("HUNTING_QUERY", "EmailEvents\x00"),
        ("HUNTING_CATEGORY", "notSpam"),
        ("COLLECT_SCHEDULE", "every minute"),
        ("DISPATCH_SCHEDULE", "* * * *"),
        ("SETTLE_SCHEDULE", "0 * * * * * *"),
        ("SubmissionsStorage", "DefaultEndpointsProtocol=https;AccountName=acct"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    """A value that breaks its setting's rule is refused, and it is the only problem."""
    assert [line.split()[0] for line in problems(**{name: value})] == [name]


@pytest.mark.parametrize("name", ["SIMULATION_MARKS", "HUNTING_QUERY", "TENANT_ID", "SubmissionsStorage"])
@pytest.mark.parametrize("kind", ["KeyVault", "keyvault", "AppConfiguration"])
def test_a_reference_that_azure_left_unresolved_is_no_value(name: str, kind: str) -> None:
    """Where the vault refuses the app, the setting holds the reference: it is said, and not where it points to."""
    reference = f"@Microsoft.{kind}(SecretUri=https://vault.contoso.example/secrets/marks)"
    (told,) = problems(**{name: reference})
    assert told.startswith(f"{name} is a reference that Azure could not resolve")
    assert "contoso" not in told


@pytest.mark.parametrize(
    "url",
    [
        "https://graph.microsoft.com",
        "https://GRAPH.microsoft.com/",
        "https://graph.microsoft.us",
        "https://dod-graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
        "http://127.0.0.1:8089",
        "http://127.3.2.1",
        "http://localhost:65535/",
        "http://[::1]:1",
    ],
)
def test_graph_may_be_microsofts_or_local(url: str) -> None:
    """Graph's own hosts are reached over https, a stand-in only over http on loopback."""
    settings = load(GRAPH_BASE_URL=url)
    assert settings.graph_base_url == url.lower().rstrip("/")
    assert settings.is_local == url.startswith("http:")


@pytest.mark.parametrize(
    "url",
    [
        "http://graph.microsoft.com",
        "https://127.0.0.1:8089",
        "https://graph.microsoft.com:444",
        "https://graph.microsoft.com/beta",
        "https://graph.microsoft.com?x=1",
        "https://graph.microsoft.com#x",
        "https://graph.microsoft.com//",
        "https://graph.microsoft.com.evil.example",
        "https://evil.example",
        "https://user@graph.microsoft.com",
        "https://graph.microsoft.com@evil.example",
        "https://graph.microsoft.com\\@evil.example",
        "https://graph.microsoft.com\n.evil.example",
        "https://graphXmicrosoft.com",
        "http://127.0.0.1@evil.example",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.256",
        "http://127.1",
        "http://2130706433",
        "http://10.0.0.1",
        "http://0.0.0.0:80",
        "http://localhost.evil.example",
        "http://localhost:65536",
        "http://localhost:",
        "http://[::1%25eth0]",
        "http://[::2]",
        "//localhost",
        "ftp://localhost",
    ],
)
def test_graph_may_be_nowhere_else(url: str) -> None:
    """No other host may get a token, however its URL is dressed up."""
    assert [line.split()[0] for line in problems(GRAPH_BASE_URL=url)] == ["GRAPH_BASE_URL"]


@given(st.text("htps:/@.#?[]1270localgraphmicrosoft\\\n", max_size=40))
def test_only_whole_matches_pass(text: str) -> None:
    """A base URL is accepted only if it is scheme and known host, whatever surrounds them."""
    try:
        accepted = load(GRAPH_BASE_URL=f"https://graph.microsoft.com{text}").graph_base_url
    except SettingsError:
        return
    assert accepted == "https://graph.microsoft.com"


def test_mailboxes_and_domains_are_read() -> None:
    """Each mailbox may name its folder; domains are compared in lower case."""
    settings = load(
        REPORTING_MAILBOXES="a@Contoso.example , b@contoso.example/Junk Email",
        TENANT_DOMAINS="Contoso.example, FABRIKAM.example",
    )
    assert settings.reporting_mailboxes == (
        ReportingMailbox("a@contoso.example", "inbox"),
        ReportingMailbox("b@contoso.example", "Junk Email"),
    )
    assert settings.tenant_domains == {"contoso.example", "fabrikam.example"}


@pytest.mark.parametrize(
    ("quota", "people", "urgent", "fits"), [(31, 10, 20, True), (30, 10, 20, False), (1, 0, 0, True)]
)
def test_reserves_leave_a_slot(quota: int, people: int, urgent: int, fits: bool) -> None:
    """The two reserves together leave at least one slot in 15 minutes to rows that are not urgent."""
    reserves = {"QUOTA_RESERVED_FOR_PEOPLE": str(people), "QUOTA_RESERVED_FOR_URGENT": str(urgent)}
    if fits:
        assert load(QUOTA_PER_15_MIN=str(quota), **reserves).quota_per_15_min == quota
    else:
        (line,) = problems(QUOTA_PER_15_MIN=str(quota), **reserves)
        assert all(name in line for name in (*reserves, "QUOTA_PER_15_MIN"))


def test_storage_by_identity() -> None:
    """Three service URIs and an identity reach the data account; the host's storage may be given in parts, too."""
    host = {"AzureWebJobsStorage": None, "AzureWebJobsStorage__accountName": "acct"}
    access = load(SubmissionsStorage=None, **IDENTITY, **host).submissions_storage
    assert access.queue_service_uri == "https://acct.queue.core.windows.net"
    assert (access.credential, access.client_id) == ("managedidentity", "0a7cbae4-7d8e-4d0f-8d38-8b6a1f7c2e11")
    assert access.connection_string is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"SubmissionsStorage__blobServiceUri": None}, "SubmissionsStorage__blobServiceUri"),
        ({"SubmissionsStorage__blobServiceUri": "http://acct.blob"}, "SubmissionsStorage__blobServiceUri"),
        ({"SubmissionsStorage__blobServiceUri": "https://acct.blob/?sig=x"}, "SubmissionsStorage__blobServiceUri"),
        ({"SubmissionsStorage__blobServiceUri": "acct.blob.core.windows.net"}, "SubmissionsStorage__blobServiceUri"),
        ({"SubmissionsStorage__credential": "password"}, "SubmissionsStorage__credential"),
        ({"SubmissionsStorage__credential": None}, "SubmissionsStorage__credential"),
        ({"SubmissionsStorage__clientId": "me"}, "SubmissionsStorage__clientId"),
    ],
)
def test_storage_by_identity_is_checked(changes: dict[str, str | None], named: str) -> None:
    """Each part has its rule, URIs are https only, and a user-assigned identity needs its credential kind."""
    assert [line.split()[0] for line in problems(SubmissionsStorage=None, **{**IDENTITY, **changes})] == [named]


def test_storage_has_one_style() -> None:
    """A connection string and service URIs together are refused: nobody could tell which account gets the data."""
    assert {line.split()[0] for line in problems(**IDENTITY)} == IDENTITY.keys()


def test_no_secret_is_repeated() -> None:
    """Neither an error nor a `repr` shows a value that may hold a key, wherever it was put by mistake."""
    secret = "c2VjcmV0LWtleQ=="
    connection = f"AccountName=acct;AccountKey={secret};EndpointSuffix=core.windows.net"
    assert secret not in repr(load(SubmissionsStorage=connection))
    assert secret not in repr(load(SIMULATION_MARKS=f"X-Exercise={secret}"))
    wrong = dict.fromkeys(CONTRACT_NAMES - {"AzureWebJobsStorage"}, f"#{secret}")
    assert secret not in " ".join(problems(**wrong))


def test_the_import_is_cheap() -> None:
    """Settings are read at every cold start: importing them brings in the standard library only."""
    code = "import sys; before = {*sys.modules}; import shared.settings; print(*{*sys.modules} - before)"
    names = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {name.partition(".")[0] for name in names.split()} - sys.stdlib_module_names == {"shared"}


@pytest.mark.parametrize("feedback", ["verdict", "received,verdict"])
def test_answers_need_a_mailbox_to_come_from(feedback: str) -> None:
    """Whoever switches answers on names their mailbox; the error says what is missing."""
    missing = "FEEDBACK_MAILBOX is missing: answers to reporters need a mailbox to come from"
    assert problems(REPORTER_FEEDBACK=feedback, FEEDBACK_MAILBOX="") == (missing,)
    settings = Settings.load({**EXAMPLE, "REPORTER_FEEDBACK": feedback, "FEEDBACK_MAILBOX": "answers@contoso.example"})
    assert settings.answers_reporters
    assert settings.feedback_mailbox == "answers@contoso.example"
