"""The script that opens the reporting mailboxes to the app: what it may call, and what it does to a stand-in tenant.

PowerShell comes from no package index. Where `pwsh` is on PATH, as on the runners of the repo's CI workflow, the script
runs for real against tests/infra/exchange_stub.psm1. Everywhere else its syntax tree is held to the same stand-in: only
the cmdlets and parameters that it declares, and no change outside a `ShouldProcess` that names it.
"""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tree_sitter
import tree_sitter_powershell

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "infra" / "scripts" / "exchange-access.ps1"
STUB = Path(__file__).with_name("exchange_stub.psm1")
APP, OBJECT = "aaaaaaaa-1111-2222-3333-444444444444", "bbbbbbbb-1111-2222-3333-444444444444"
REPORTS, JUNK, CONTROL = "phish@contoso.com", "junk@contoso.com", "ceo@contoso.com"
GRANT = ["New-ServicePrincipal", "New-ManagementScope", "New-ManagementRoleAssignment"]
SECOPS = ["New-SecOpsOverridePolicy", "New-ExoSecOpsOverrideRule"]
PWSH = shutil.which("pwsh")
needs_pwsh = pytest.mark.skipif(
    PWSH is None, reason="NOT RUN: exchange-access.ps1, as no pwsh is on PATH; its syntax tree is checked all the same"
)
CHANGES = ("New-", "Set-", "Remove-")
OURS_AND_POWERSHELLS = {
    "ForEach-Object",
    "Get-FilterClause",
    "Set-StrictMode",
    "Sort-Object",
    "Get-RoleInScope",
    "Where-Object",
    "Write-Information",
    "Write-Warning",
}


def parse(file: Path) -> tree_sitter.Node:
    """Return the root of a PowerShell file's syntax tree."""
    language = tree_sitter.Language(tree_sitter_powershell.language())
    return tree_sitter.Parser(language).parse(file.read_bytes()).root_node


def find_all(node: tree_sitter.Node, kind: str) -> Iterator[tree_sitter.Node]:
    """Yield every node of a kind, from the top of the file down."""
    if node.type == kind:
        yield node
    for child in node.children:
        yield from find_all(child, kind)


def text_of(node: tree_sitter.Node | None) -> str:
    """Return the source of a node."""
    return "" if node is None or node.text is None else node.text.decode()


def names_in(node: tree_sitter.Node, kind: str) -> list[str]:
    """Return the sources of all nodes of a kind."""
    return [text_of(one) for one in find_all(node, kind)]


def declared() -> dict[str, set[str]]:
    """Return the parameters of each cmdlet of the stand-in, as `-Name`."""
    cmdlets = {}
    for function in find_all(parse(STUB), "function_statement"):
        parameters = (names_in(one, "variable")[-1] for one in find_all(function, "script_parameter"))
        extra = {"-Confirm", "-WhatIf"} if "SupportsShouldProcess" in text_of(function) else set()
        cmdlets[names_in(function, "function_name")[0]] = {name.replace("$", "-") for name in parameters} | extra
    return cmdlets


def called() -> list[tuple[str, set[str], tree_sitter.Node]]:
    """Return each command of the script: its name, its parameters, its node."""
    commands = []
    for command in find_all(parse(SCRIPT), "command"):
        parameters = {name.partition(":")[0] for name in names_in(command, "command_parameter")}
        commands.append((names_in(command, "command_name")[0], parameters, command))
    return commands


def condition_around(node: tree_sitter.Node) -> str:
    """Return the condition of the nearest `if` or `elseif` around a node; empty if there is none."""
    parent = node.parent
    while parent is not None and parent.type not in {"if_statement", "elseif_clause"}:
        parent = parent.parent
    return "" if parent is None else text_of(parent.child_by_field_name("condition"))


@pytest.mark.parametrize("file", [SCRIPT, STUB], ids=lambda file: file.name)
def test_powershell_parses(file: Path) -> None:
    """No node of the tree is an error or was made up by the parser."""
    assert not parse(file).has_error


def test_the_script_calls_only_what_exchange_has() -> None:
    """Each cmdlet and each parameter is one that the stand-in declares, which copies Microsoft's reference."""
    known = declared()
    exchange = [(name, given) for name, given, _ in called() if name not in OURS_AND_POWERSHELLS]
    assert len(exchange) > 15
    assert {name for name, _ in exchange} - known.keys() == set()
    assert {name: given - known[name] for name, given in exchange if given - known[name]} == {}


def test_every_change_asks_first() -> None:
    """Each cmdlet that changes something stands under a ShouldProcess that names it, so that -WhatIf prints it."""
    changing = [(name, node) for name, _, node in called() if name.startswith(CHANGES) and name != "Set-StrictMode"]
    assert len(changing) == 12
    assert {name for name, node in changing if f"'{name}')" not in condition_around(node)} == set()
    assert {name for name, node in changing if "$PSCmdlet.ShouldProcess(" not in condition_around(node)} == set()


@dataclass(frozen=True, slots=True)
class Exchange:
    """A stand-in tenant in a file, and the script run against it."""

    file: Path

    def run(self, *options: str, mailboxes: str = REPORTS, control: str = CONTROL) -> subprocess.CompletedProcess[str]:
        """Run the script; its exit code and what it printed come back."""
        given = f"-AppId {APP} -ObjectId {OBJECT} -ReportingMailbox '{mailboxes}' -ControlMailbox {control}"
        line = f"$ErrorView = 'NormalView'; Import-Module '{STUB}'; & '{SCRIPT}' {given} {' '.join(options)}"
        command = [str(PWSH), "-NoProfile", "-NonInteractive", "-Command", line]
        environment = {**os.environ, "EXCHANGE_STATE": str(self.file), "NO_COLOR": "1"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

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


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    """Return a tenant of three mailboxes in which nothing is set up."""
    numbered = enumerate((REPORTS, JUNK, CONTROL))
    mailboxes = [{"PrimarySmtpAddress": address, "Guid": str(uuid.UUID(int=number))} for number, address in numbered]
    kept = ("principals", "scopes", "assignments", "policies", "rules", "changes")
    file = tmp_path / "exchange.json"
    file.write_text(json.dumps({"mailboxes": mailboxes, **{name: [] for name in kept}}))
    return Exchange(file)


def complains(ran: subprocess.CompletedProcess[str], text: str) -> bool:
    """Tell whether a run failed with a message; PowerShell breaks its lines where it likes."""
    return ran.returncode == 1 and "".join(text.split()) in "".join(ran.stderr.split())


@needs_pwsh
def test_what_if_prints_the_changes_and_makes_none(exchange: Exchange) -> None:
    """A dry run names each change that a real run would make, with what it is about, and only reads."""
    ran = exchange.run("-SecOpsMailbox", "-WhatIf")
    assert ran.returncode == 0, ran.stderr
    assert [name for name in (*GRANT, *SECOPS) if f'operation "{name}"' not in ran.stdout] == []
    assert f"for {REPORTS}: Guid -eq '00000000-0000-0000-0000-000000000000'" in ran.stdout
    assert exchange.changes() == []


@needs_pwsh
def test_a_run_opens_the_reporting_mailboxes_and_a_second_changes_nothing(exchange: Exchange) -> None:
    """The app can read the mailboxes named, folders or not, and not the control mailbox; a second run finds it so."""
    mailboxes = f"{REPORTS}/reports, {JUNK}"
    ran = exchange.run(mailboxes=mailboxes)
    assert ran.returncode == 0, ran.stderr
    assert exchange.changes() == GRANT
    for address, readable in ((REPORTS, True), (JUNK, True), (CONTROL, False)):
        assert f"{address} readable by the app: {readable}" in ran.stdout
    again = exchange.run(mailboxes=mailboxes)
    assert again.returncode == 0, again.stderr
    assert exchange.changes() == []


@needs_pwsh
def test_the_scope_follows_the_list(exchange: Exchange) -> None:
    """Another list of mailboxes changes the scope, also to fewer; nothing else is made anew."""
    exchange.run(mailboxes=f"{REPORTS},{JUNK}")
    exchange.changes()
    ran = exchange.run(mailboxes=JUNK, control=REPORTS)
    assert ran.returncode == 0, ran.stderr
    assert exchange.changes() == ["Set-ManagementScope"]


@needs_pwsh
def test_undo_removes_all_that_was_made(exchange: Exchange) -> None:
    """Undo leaves an empty tenant, a dry run of it leaves everything, and a second undo finds nothing to do."""
    exchange.run("-SecOpsMailbox")
    exchange.changes()
    assert exchange.run("-SecOpsMailbox", "-Undo", "-WhatIf").returncode == 0
    assert exchange.changes() == []
    ran = exchange.run("-SecOpsMailbox", "-Undo")
    assert ran.returncode == 0, ran.stderr
    removed = ["ManagementRoleAssignment", "ManagementScope", "ServicePrincipal", "SecOpsOverridePolicy"]
    assert exchange.changes() == [f"Remove-{thing}" for thing in removed]
    assert exchange.run("-SecOpsMailbox", "-Undo").returncode == 0
    assert exchange.changes() == []


@needs_pwsh
def test_undo_leaves_what_others_made(exchange: Exchange) -> None:
    """Another's pointer to the app, another's policy and another's addresses in it stay."""
    pointer = {"AppId": APP, "ObjectId": OBJECT, "DisplayName": "somebody else's"}
    policy = {"Name": "SecOpsOverridePolicy", "SentTo": ["soc@contoso.com"], "Comment": "", "Mode": "Enforce"}
    exchange.change(principals=[pointer], policies=[policy], rules=[{"Name": "rule", "Mode": "Enforce"}])
    assert exchange.run("-SecOpsMailbox").returncode == 0
    assert exchange.changes() == [*GRANT[1:], "Set-SecOpsOverridePolicy"]
    assert exchange.run("-SecOpsMailbox", "-Undo").returncode == 0
    assert exchange.state()["principals"] == [pointer]
    assert exchange.state()["policies"] == [policy]


@needs_pwsh
def test_an_open_control_mailbox_is_an_error(exchange: Exchange) -> None:
    """When the app may enter the control mailbox by another assignment, the run fails and names its role."""
    unscoped = {"Name": "by hand", "App": OBJECT, "Role": "Application EWS.AccessAsApp", "Scope": ""}
    exchange.change(assignments=[unscoped])
    ran = exchange.run()
    assert complains(ran, f"The app has Application EWS.AccessAsApp on {CONTROL}"), ran.stderr


@needs_pwsh
@pytest.mark.parametrize(
    ("mailboxes", "control", "told"),
    [
        ("nobody@contoso.com", CONTROL, "couldn't be found"),
        (REPORTS, REPORTS, "is a reporting mailbox"),
        (" , ", CONTROL, "No reporting mailbox was named"),
    ],
)
def test_a_wrong_mailbox_changes_nothing(exchange: Exchange, mailboxes: str, control: str, told: str) -> None:
    """A mailbox that is not there, a control mailbox that is a reporting mailbox, no mailbox: an error before all."""
    ran = exchange.run(mailboxes=mailboxes, control=control)
    assert complains(ran, told), ran.stderr
    assert exchange.changes() == []


@needs_pwsh
def test_the_analyzer_finds_nothing() -> None:
    """PSScriptAnalyzer has no word against the script; the CI workflow installs it."""
    line = (
        "if (-not (Get-Module -ListAvailable PSScriptAnalyzer)) { exit 7 }; "
        f"Invoke-ScriptAnalyzer -Path '{SCRIPT}' | Format-Table -AutoSize -Wrap | Out-String -Width 200"
    )
    ran = subprocess.run([str(PWSH), "-NoProfile", "-Command", line], capture_output=True, text=True, check=False)
    if ran.returncode == 7:
        pytest.skip("NOT RUN: PSScriptAnalyzer is not installed")
    assert (ran.returncode, ran.stdout.strip()) == (0, "")
