"""A stand-in for a tenant's Exchange Online, and the script exchange-access.ps1 run against it by real PowerShell.

The stand-in is tests/infra/exchange_stub.psm1. What PowerShell does with the script is not stood in for: a run is a new
session in one PowerShell process (exchange_sessions.ps1) or, where the exit code matters, a process of its own.
"""

import json
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "infra" / "scripts" / "exchange-access.ps1"
STUB = HERE / "exchange_stub.psm1"
MODULES = HERE / "exchange_modules"
PWSH = shutil.which("pwsh")
ASKING = [str(PWSH), "-NoProfile"]
COMMAND = [*ASKING, "-NonInteractive"]

APP, OBJECT = "aaaaaaaa-1111-2222-3333-444444444444", "bbbbbbbb-1111-2222-3333-444444444444"
LABEL = f"Defender Submissions {OBJECT}"
REPORTS, JUNK, CONTROL = "phish@contoso.com", "junk@contoso.com", "ceo@contoso.com"
ROLE = "Application Mail.Read"
LISTS = ("principals", "scopes", "assignments", "policies", "rules", "changes", "faults", "answers", "ignores", "waits")
ANY_CULTURE = {"DOTNET_SYSTEM_GLOBALIZATION_PREDEFINED_CULTURES_ONLY": "false"}  # also where there is no ICU
SIGNED_IN = f"Import-Module '{STUB}'"


def guid_of(address: str) -> str:
    """Return the Exchange GUID that a mailbox of the stand-in has."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, address))


def mailbox(address: str, *aliases: str, name: str = "") -> dict[str, object]:
    """Return a mailbox as Exchange tells it."""
    addresses = [f"SMTP:{address}", *(f"smtp:{one}" for one in aliases)]
    alias = address.partition("@")[0]
    return {
        "PrimarySmtpAddress": address,
        "Guid": guid_of(address),
        "Alias": alias,
        "DisplayName": name or alias,
        "EmailAddresses": addresses,
    }


def assignment(name: str, role: str = ROLE, scope: str | None = None) -> dict[str, object]:
    """Return an assignment of a role to the app, as somebody else may have made it: for all mailboxes."""
    return {"Name": name, "Role": role, "RoleAssigneeName": OBJECT, "CustomResourceScope": scope}


def policy(*addresses: str, comment: str = "") -> dict[str, object]:
    """Return an advanced delivery policy, by default as somebody else may have made it."""
    return {"Name": "SecOpsOverridePolicy", "SentTo": list(addresses), "Comment": comment, "Mode": "Enforce"}


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended: what it said, the error that ended it, errors that did not, and what the session told after."""

    said: str
    failed: bool
    after: str

    def says(self, *texts: str) -> bool:
        """Tell whether it said all these texts."""
        return all(text in self.said for text in texts)

    def done(self) -> list[str]:
        """Return the cmdlets of the changes that it told, in their order."""
        return [line.split()[1] for line in self.said.splitlines() if line.startswith("done: ")]

    def is_clean(self) -> bool:
        """Tell whether no error was reported, neither one that ended the run nor another."""
        return not self.failed and "error: " not in self.said


class Sessions:
    """One PowerShell process that runs each call in a session of its own."""

    def __init__(self) -> None:
        """Start the process."""
        command = [*COMMAND, "-File", str(HERE / "exchange_sessions.ps1")]
        environment = {**os.environ, **ANY_CULTURE, "NO_COLOR": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", env=environment
        )

    def run(self, ask: dict[str, object]) -> Ran:
        """Run one call; raises RuntimeError when the process ends."""
        mark = f"== {uuid.uuid4()}"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({**ask, "mark": mark}) + "\n")
        self._process.stdin.flush()
        said: list[str] = []
        for line in self._process.stdout:
            if line.startswith(mark):
                ended = json.loads(line.removeprefix(mark))
                return Ran("".join(said), ended["failed"], ended["after"])
            said.append(line)
        raise RuntimeError("PowerShell ended: " + "".join(said))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@dataclass(frozen=True, slots=True)
class Exchange:
    """A tenant in a file, and the script run against it."""

    file: Path
    sessions: Sessions

    def run(
        self,
        *switches: str,
        mailboxes: str = REPORTS,
        control: str = CONTROL,
        way: str = "session",
        prepare: str = SIGNED_IN,
        first: str = "",
        **more: object,
    ) -> Ran:
        """Run the script in a session that is signed in, or as `prepare` says; `first` is on the script's own line."""
        given = self.arguments(mailboxes, control)
        quoted = " ".join(f"-{name} '{value.replace(chr(39), chr(39) * 2)}'" for name, value in given.items())
        line = f"{first}; & '{SCRIPT}' {quoted} {' '.join(f'-{switch}' for switch in switches)}"
        return self.sessions.run(
            {
                "call": way,
                "line": line,
                "script": str(SCRIPT),
                "arguments": {**given, **dict.fromkeys(switches, True)},
                "prepare": prepare,
                "environment": self.environment(),
                "after": "$ErrorActionPreference",
                **more,
            }
        )

    def process(self, *switches: str, way: str = "session", answers: str = "") -> tuple[int, str]:
        """Run the script in a process of its own that signs in; its exit code and what it printed come back."""
        given = [part for name, value in self.arguments().items() for part in (f"-{name}", value)]
        given += ["-Connect", *(f"-{switch}" for switch in switches)]
        call = ["-File", str(SCRIPT), *given] if way == "file" else ["-Command", f"& '{SCRIPT}' {' '.join(given)}"]
        environment = {**os.environ, **self.environment(), "NO_COLOR": "1"}
        command = [*(ASKING if answers else COMMAND), *call]
        ran = subprocess.run(command, env=environment, input=answers, capture_output=True, text=True, check=False)
        return ran.returncode, ran.stdout + ran.stderr

    @staticmethod
    def arguments(mailboxes: str = REPORTS, control: str = CONTROL) -> dict[str, str]:
        """Return the arguments that every call needs."""
        return {"AppId": APP, "ObjectId": OBJECT, "ReportingMailbox": mailboxes, "ControlMailbox": control}

    def environment(self) -> dict[str, str]:
        """Return where the stand-in finds its tenant, and PowerShell the module."""
        return {"EXCHANGE_STATE": str(self.file), "PSModulePath": str(MODULES)}

    def state(self) -> dict[str, Any]:
        """Return what the tenant holds now."""
        held: dict[str, Any] = json.loads(self.file.read_text())
        return held

    def change(self, **parts: object) -> None:
        """Replace parts of the tenant."""
        self.file.write_text(json.dumps({**self.state(), **parts}))

    def changes(self) -> list[str]:
        """Return the changes since the last time that this was asked."""
        changes: list[str] = self.state()["changes"]
        self.change(changes=[])
        return changes

    def fault(self, cmdlet: str, message: str = "AccessDeniedException|Not now.", on: str = "") -> None:
        """Let a cmdlet report an error, for the calls whose arguments match a pattern."""
        self.change(faults=[{"cmdlet": cmdlet, "message": message, "on": on}])

    def answer(self, cmdlet: str, *objects: object, on: str = "") -> None:
        """Let a cmdlet return these objects, for the calls whose arguments match a pattern."""
        self.change(answers=[{"cmdlet": cmdlet, "objects": list(objects), "on": on}])

    def sent_to(self) -> list[str]:
        """Return the addresses in advanced delivery."""
        return [one for held in self.state()["policies"] if held["Mode"] == "Enforce" for one in held["SentTo"]]


def new_tenant(file: Path, sessions: Sessions) -> Exchange:
    """Return a tenant of three mailboxes in which nothing is set up."""
    mailboxes = [mailbox(REPORTS, "report@contoso.com"), mailbox(JUNK), mailbox(CONTROL)]
    file.write_text(json.dumps({"mailboxes": mailboxes, **{name: [] for name in LISTS}}))
    return Exchange(file, sessions)
