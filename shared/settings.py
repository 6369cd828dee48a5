"""The app's settings: one frozen object, parsed once from what the platform hands over.

Either every setting is right, or there is one error that names all that are not, each with its rule. A value is never
repeated in an error or a `repr`: it may be a secret in the wrong place. Nothing else reads the environment. This
module is imported at every cold start and needs the standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .domain.simulations import OwnMarks, read_own_marks
from .domain.text import address, is_address, is_domain

HOST_STORAGE = "AzureWebJobsStorage"
DATA_STORAGE = "SubmissionsStorage"
GRAPH_HOSTS = ("graph.microsoft.com", "graph.microsoft.us", "dod-graph.microsoft.us", "microsoftgraph.chinacloudapi.cn")
"""Graph's host in the global cloud and in the national ones (Microsoft Learn, "National cloud deployments")."""
MOST_REPRESENTATIVES = 20
"""A hundred campaigns with so many representatives each fit into one row, where they stand together."""

_REFERENCE = re.compile(r"@Microsoft\.(KeyVault|AppConfiguration)\(", re.IGNORECASE)
"""How a setting begins whose value stands in a vault. Azure puts the value in its place before the app sees it; where
it cannot, the app gets the reference itself (Microsoft Learn, "Use Key Vault references", Troubleshoot)."""
_DEVELOPMENT_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)
"""What `UseDevelopmentStorage=true` stands for: the emulator's published account (Azurite's documentation)."""


class SettingsError(Exception):
    """Settings are wrong or missing; the app must not start. `problems` holds one line for each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__(f"{len(problems)} wrong or missing app settings: " + "; ".join(problems))


@dataclass(frozen=True, slots=True)
class ReportingMailbox:
    """A folder that reports arrive in."""

    address: str
    folder: str


@dataclass(frozen=True, slots=True)
class StorageAccess:
    """How to reach the data account: a connection string, or three service URIs and an identity.

    `credential` is `managedidentity` or None (the default credential chain); `client_id` names a user-assigned
    identity.
    """

    connection_string: str | None = field(default=None, repr=False)
    queue_service_uri: str | None = None
    table_service_uri: str | None = None
    blob_service_uri: str | None = None
    credential: str | None = None
    client_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the contract, section 2. Each field is the setting of the same name in capitals."""

    submissions_storage: StorageAccess
    tenant_id: str
    reporting_mailboxes: tuple[ReportingMailbox, ...]
    tenant_domains: frozenset[str]
    report_destination: Literal["auto", "mailbox", "microsoft"]
    submission_mode: Literal["live", "shadow"]
    graph_base_url: str
    quota_per_15_min: int
    quota_per_day: int
    quota_reserved_for_people: int
    quota_reserved_for_urgent: int
    campaign_representatives: int
    verdict_deadline_hours: int
    max_submission_bytes: int
    evidence_days: int
    reporter_feedback: Literal["off", "verdict", "received,verdict"]
    feedback_mailbox: str
    feedback_language: str
    feedback_simulations: Literal["off", "on"]
    outcomes_days: int | None
    outcomelog_days: int | None
    items_days: int | None
    simulation_marks: OwnMarks
    user_submissions: Literal["off", "on"]
    defender_alerts: Literal["off", "on"]
    hunting_query: str
    hunting_category: Literal["phishing", "malware", "spam", "notJunk"]
    collect_schedule: str
    dispatch_schedule: str
    settle_schedule: str

    @property
    def is_local(self) -> bool:
        """Whether Graph is a stand-in on this machine, which asks for no credential."""
        return self.graph_base_url.startswith("http://")

    @property
    def has_sources(self) -> bool:
        """Whether any source beside the mailbox is switched on."""
        return "on" in (self.user_submissions, self.defender_alerts) or bool(self.hunting_query)

    @property
    def answers_reporters(self) -> bool:
        """Whether reporters are told what became of their reports."""
        return self.reporter_feedback != "off"

    @classmethod
    def load(cls, mapping: Mapping[str, str]) -> Settings:
        """The settings in `mapping`, for example `os.environ`; empty values count as missing, others are ignored.

        Raises `SettingsError` naming every wrong or missing setting.
        """
        given = {name: value.strip() for name, value in mapping.items() if value.strip()}
        problems: list[str] = []
        values = {
            name.lower(): _parsed(name, parse, given.get(name, default), problems)
            for name, (parse, default) in _RULES.items()
        }
        storage = _storage_access(given, problems)
        problems += _storage_problems(given) + _reserve_problems(values) + _feedback_problems(values)
        if problems:
            raise SettingsError(tuple(problems))
        return cls(submissions_storage=storage, **values)


def setting_names() -> tuple[str, ...]:
    """Every name that `Settings.load` knows, with both ways to reach the data account."""
    return (HOST_STORAGE, *_STORAGE_RULES, *_RULES)


def load_storage_access(mapping: Mapping[str, str]) -> StorageAccess:
    """How to reach the data account, from its settings alone; as complete as they are, none for what is not named.

    Raises `SettingsError` naming every wrong one.
    """
    given = {name: value.strip() for name, value in mapping.items() if value.strip()}
    problems: list[str] = []
    access = _storage_access(given, problems)
    if problems:
        raise SettingsError(tuple(problems))
    return access


def _storage_access(given: Mapping[str, str], problems: list[str]) -> StorageAccess:
    parts = {
        part: _parsed(name, parse, given[name], problems)
        for name, (part, parse) in _STORAGE_RULES.items()
        if name in given
    }
    return StorageAccess(**parts)


def _parsed(name: str, parse: Callable[[str], object], value: str | None, problems: list[str]) -> Any:
    """The parsed value, or None and a problem more. No parser of a required setting accepts the empty text."""
    if value and _REFERENCE.match(value):
        problems.append(f"{name} is a reference that Azure could not resolve: see docs/deploy.md, Marks in a vault")
        return None
    try:
        return parse(value or "")
    except ValueError as error:
        problems.append(f"{name} {error}" if value else f"{name} is missing; it {error}")
        return None


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def _days_or_for_ever(value: str) -> int | None:
    """Days, or None for the empty text.

    Microsoft takes mail of 30 days: until then a report that is still in its mailbox must find its row.
    """
    return _integer(30, 3650)(value) if value else None


def _word(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in words:
            raise ValueError(f"must be {' or '.join(words)}")
        return value

    return parse


def _guid(value: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value):
        raise ValueError("must be a GUID, 8-4-4-4-12 hex digits")
    return value.lower()


def _query(value: str) -> str:
    """A hunting query, of as many lines as it needs; the empty text switches hunting off."""
    if len(value) > 10_000 or re.search(r"[^\t\n\r -\U0010ffff]|\x7f", value):
        raise ValueError("must be a hunting query of at most 10000 characters without control characters")
    return value


def _schedule(value: str) -> str:
    # Loose on purpose: the host parses it, this catches the setting that holds something else altogether.
    if not re.fullmatch(r"[0-9A-Za-z*,/-]+(?: +[0-9A-Za-z*,/-]+){4,5}", value):
        raise ValueError("must be an NCRONTAB expression of 6 fields, or of 5 without seconds")
    return value


def _mailboxes(value: str) -> tuple[ReportingMailbox, ...]:
    boxes = tuple(_mailbox(part.strip()) for part in value.split(","))
    if len({(box.address.lower(), box.folder.lower()) for box in boxes}) < len(boxes):
        raise ValueError("must not name a folder twice")
    return boxes


def _mailbox(value: str) -> ReportingMailbox:
    name, slash, folder = (part.strip() for part in value.partition("/"))
    if not is_address(name) or (slash and not re.fullmatch(r"[^\x00-\x1f\x7f/\\]{1,255}", folder)):
        raise ValueError("must be mail addresses separated by commas, each with `/folder` after it if not the inbox")
    return ReportingMailbox(address(name) or name, folder or "inbox")


def _sending_mailbox(value: str) -> str:
    """The mailbox that answers come from; the empty text where none are sent."""
    if value and not is_address(value):
        raise ValueError("must be one mail address")
    return address(value) or value


def _language(value: str) -> str:
    """A language tag (RFC 5646) of a language and perhaps a script or a region."""
    if not re.fullmatch(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,2}", value):
        raise ValueError("must be a language tag such as en or pt-BR")
    return value


def _domains(value: str) -> frozenset[str]:
    domains = [part.strip().lower() for part in value.split(",")]
    if not all(map(is_domain, domains)):
        raise ValueError("must be domain names separated by commas")
    return frozenset(domains)


_OCTET = "(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_LOOPBACK_URL = re.compile(rf"http://(?:localhost|127(?:\.{_OCTET}){{3}}|\[::1\])(?::([0-9]{{1,5}}))?", re.IGNORECASE)
_GRAPH_URL = re.compile(rf"https://(?:{'|'.join(map(re.escape, GRAPH_HOSTS))})", re.IGNORECASE)


def _graph_url(value: str) -> str:
    """Matched as a whole, not split: two readers of one odd URL may disagree about its host, and tokens go there."""
    url = value.removesuffix("/").lower()
    loopback = _LOOPBACK_URL.fullmatch(url)
    if not _GRAPH_URL.fullmatch(url) and not (loopback and int(loopback[1] or "80") <= 65_535):
        raise ValueError(
            f"must be https:// and a Graph host ({', '.join(GRAPH_HOSTS)}), or http:// and a loopback address"
        )
    return url


def _service_uri(value: str) -> str:
    host = value.removeprefix("https://").removesuffix("/")
    if not value.startswith("https://") or not is_domain(host):
        raise ValueError("must be https:// and a host, nothing else")
    return f"https://{host.lower()}"


def _connection_string(value: str) -> str:
    if re.fullmatch("UseDevelopmentStorage=true;?", value, re.IGNORECASE):
        return _DEVELOPMENT_STORAGE
    keys = {part.partition("=")[0].strip().lower() for part in value.split(";") if "=" in part}
    if not {"accountname", "accountkey"} <= keys:
        raise ValueError("must be a storage connection string with AccountName and AccountKey")
    return value


# Defaults are the contract's. Upper bounds: Microsoft's limits (150 submissions in 15 minutes and 10,000 a day, mail
# up to 30 days old, bodies of about 4 MB, of which base64 leaves 3,000,000 bytes); asking for more only earns refusals.
_RULES: Mapping[str, tuple[Callable[[str], object], str | None]] = {
    "TENANT_ID": (_guid, None),
    "REPORTING_MAILBOXES": (_mailboxes, None),
    "TENANT_DOMAINS": (_domains, None),
    "REPORT_DESTINATION": (_word("auto", "mailbox", "microsoft"), "auto"),
    "SUBMISSION_MODE": (_word("live", "shadow"), "live"),
    "GRAPH_BASE_URL": (_graph_url, "https://graph.microsoft.com"),
    "QUOTA_PER_15_MIN": (_integer(1, 150), "150"),
    "QUOTA_PER_DAY": (_integer(1, 10_000), "10000"),
    "QUOTA_RESERVED_FOR_PEOPLE": (_integer(0, 149), "10"),
    "QUOTA_RESERVED_FOR_URGENT": (_integer(0, 149), "20"),
    "CAMPAIGN_REPRESENTATIVES": (_integer(1, MOST_REPRESENTATIVES), "3"),
    "VERDICT_DEADLINE_HOURS": (_integer(1, 720), "72"),
    "MAX_SUBMISSION_BYTES": (_integer(1, 3_000_000), "3000000"),
    "EVIDENCE_DAYS": (_integer(1, 365), "30"),
    "REPORTER_FEEDBACK": (_word("off", "verdict", "received,verdict"), "off"),
    "FEEDBACK_MAILBOX": (_sending_mailbox, ""),
    "FEEDBACK_LANGUAGE": (_language, "en"),
    "FEEDBACK_SIMULATIONS": (_word("off", "on"), "off"),
    "OUTCOMES_DAYS": (_days_or_for_ever, ""),
    "OUTCOMELOG_DAYS": (_days_or_for_ever, ""),
    "ITEMS_DAYS": (_days_or_for_ever, ""),
    "SIMULATION_MARKS": (read_own_marks, ""),
    "USER_SUBMISSIONS": (_word("off", "on"), "off"),
    "DEFENDER_ALERTS": (_word("off", "on"), "off"),
    "HUNTING_QUERY": (_query, ""),
    "HUNTING_CATEGORY": (_word("phishing", "malware", "spam", "notJunk"), "phishing"),
    "COLLECT_SCHEDULE": (_schedule, None),
    "DISPATCH_SCHEDULE": (_schedule, None),
    "SETTLE_SCHEDULE": (_schedule, None),
}

_STORAGE_RULES: Mapping[str, tuple[str, Callable[[str], object]]] = {
    DATA_STORAGE: ("connection_string", _connection_string),
    f"{DATA_STORAGE}__queueServiceUri": ("queue_service_uri", _service_uri),
    f"{DATA_STORAGE}__tableServiceUri": ("table_service_uri", _service_uri),
    f"{DATA_STORAGE}__blobServiceUri": ("blob_service_uri", _service_uri),
    f"{DATA_STORAGE}__credential": ("credential", _word("managedidentity")),
    f"{DATA_STORAGE}__clientId": ("client_id", _guid),
}


def _storage_problems(given: Mapping[str, str]) -> list[str]:
    """What is wrong with the storage settings taken together: missing ones, and two ways at once."""
    problems = []
    if not any(name == HOST_STORAGE or name.startswith(f"{HOST_STORAGE}__") for name in given):
        problems.append(f"{HOST_STORAGE} is missing: the Functions host's own storage, or its parts with `__`")
    _, *parts = _STORAGE_RULES
    uris, credential, client_id = parts[:3], parts[3], parts[4]
    if DATA_STORAGE in given:
        problems += [f"{name} must not be given beside {DATA_STORAGE}" for name in parts if name in given]
        return problems
    problems += [f"{name} is missing (or, for local work, {DATA_STORAGE})" for name in uris if name not in given]
    if client_id in given and credential not in given:
        problems.append(f"{credential} is missing: {client_id} needs it")
    return problems


def _reserve_problems(values: Mapping[str, Any]) -> list[str]:
    people, urgent, quota = (
        values[name] for name in ("quota_reserved_for_people", "quota_reserved_for_urgent", "quota_per_15_min")
    )
    if None in {people, urgent, quota} or people + urgent < quota:
        return []
    reserves = "QUOTA_RESERVED_FOR_PEOPLE and QUOTA_RESERVED_FOR_URGENT"
    return [f"{reserves} together must be less than QUOTA_PER_15_MIN: other rows would never get a slot"]


def _feedback_problems(values: Mapping[str, Any]) -> list[str]:
    if values["reporter_feedback"] in {None, "off"} or values["feedback_mailbox"] != "":
        return []
    return ["FEEDBACK_MAILBOX is missing: answers to reporters need a mailbox to come from"]
