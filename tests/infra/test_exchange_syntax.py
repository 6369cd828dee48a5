"""What can be read from the text of exchange-access.ps1, also where no PowerShell is there to run it.

Its syntax tree is held to the stand-in, tests/infra/exchange_stub.psm1, which has the parameters of Microsoft's
reference: only the cmdlets and parameters that it declares, and no change but as a planned step that -WhatIf prints.
What the script does is in tests/infra/test_exchange_access.py.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_powershell

from tests.infra.exchange_tenant import COMMAND, MODULES, PWSH, SCRIPT, STUB

MODULE = MODULES / "ExchangeOnlineManagement" / "ExchangeOnlineManagement.psm1"
CHANGES = ("New-", "Set-", "Remove-")
POWERSHELLS = {
    "ForEach-Object",
    "Get-Command",
    "Set-StrictMode",
    "Sort-Object",
    "Where-Object",
    "Write-Information",
    "Write-Verbose",
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


def functions(file: Path) -> dict[str, tree_sitter.Node]:
    """Return the functions of a file by their names."""
    return {names_in(one, "function_name")[0]: one for one in find_all(parse(file), "function_statement")}


def declared() -> dict[str, set[str]]:
    """Return the parameters of each cmdlet of the stand-in, as `-Name`."""
    cmdlets = {}
    for name, function in (functions(STUB) | functions(MODULE)).items():
        parameters = (names_in(one, "variable")[-1] for one in find_all(function, "script_parameter"))
        extra = {"-Confirm", "-WhatIf"} if "SupportsShouldProcess" in text_of(function) else set()
        cmdlets[name] = {name.replace("$", "-") for name in parameters} | extra
    return cmdlets


def called() -> list[tuple[str, set[str], tree_sitter.Node]]:
    """Return each command of the script that has a name: the name, its parameters, its node."""
    commands = []
    for command in find_all(parse(SCRIPT), "command"):
        name = text_of(command.child_by_field_name("command_name"))
        own = (one for child in command.children for one in child.children if one.type == "command_parameter")
        if not text_of(command).startswith("&"):
            commands.append((name, {text_of(one).partition(":")[0] for one in own}, command))
    return commands


def of_exchange() -> list[tuple[str, set[str], tree_sitter.Node]]:
    """Return the script's commands that are neither PowerShell's nor its own functions."""
    others = POWERSHELLS | functions(SCRIPT).keys()
    return [one for one in called() if one[0] not in others]


def step_around(node: tree_sitter.Node) -> str:
    """Return what the planned step around a command is called; empty if there is none."""
    parent = node.parent
    while parent is not None and not (parent.type == "command" and text_of(parent).startswith("Add-Step ")):
        parent = parent.parent
    return "" if parent is None else text_of(parent).split("'")[1]


@pytest.mark.parametrize("file", [SCRIPT, STUB, MODULE], ids=lambda file: file.name)
def test_powershell_parses(file: Path) -> None:
    """No node of the tree is an error or was made up by the parser."""
    assert not parse(file).has_error


def test_windows_powershell_reads_it_too() -> None:
    """Windows PowerShell takes a file without a mark for the machine's code page; help begins where Get-Help looks."""
    text = SCRIPT.read_bytes()
    assert text.isascii()
    assert text.startswith(b"<#\n.SYNOPSIS")


def test_the_script_calls_only_what_exchange_has() -> None:
    """Each cmdlet and each parameter is one that the stand-in declares, which copies Microsoft's reference."""
    known = declared()
    exchange = [(name, given) for name, given, _ in of_exchange()]
    assert len(exchange) > 15
    assert {name for name, _ in exchange} - known.keys() == set()
    assert {name: given - known[name] for name, given in exchange if given - known[name]} == {}


def test_rights_are_asked_for_all_that_is_called() -> None:
    """The list that is looked through before the first call has each cmdlet of Exchange, and no other."""
    listed = re.search(r"^\$needed = @\((.*?)^\)", SCRIPT.read_text(), re.MULTILINE | re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"'([\w-]+)'", listed[1])) == {name for name, _, _ in of_exchange()} - {
        "Connect-ExchangeOnline"
    }


def test_every_change_asks_first() -> None:
    """Each cmdlet that changes something is a planned step of its name, and ShouldProcess is asked about each."""
    changing = [(name, node) for name, _, node in of_exchange() if name.startswith(CHANGES)]
    assert len(changing) == 13
    assert {name for name, node in changing if step_around(node) != name} == set()
    runs = text_of(functions(SCRIPT)["Invoke-Plan"])
    assert SCRIPT.read_text().count("& $step.Change ") == runs.count("& $step.Change ") == 1
    assert runs.index("$PSCmdlet.ShouldProcess($step.Target, $step.Cmdlet)") < runs.index("& $step.Change ")


@pytest.mark.skipif(PWSH is None, reason="NOT RUN: PSScriptAnalyzer, as no pwsh is on PATH")
def test_the_analyzer_finds_nothing() -> None:
    """PSScriptAnalyzer has no word against the script; the CI workflow installs it."""
    line = (
        "if (-not (Get-Module -ListAvailable PSScriptAnalyzer)) { exit 7 }; "
        f"Invoke-ScriptAnalyzer -Path '{SCRIPT}' | Format-Table -AutoSize -Wrap | Out-String -Width 200"
    )
    ran = subprocess.run([*COMMAND, "-Command", line], capture_output=True, text=True, check=False)
    if ran.returncode == 7:
        pytest.skip("NOT RUN: PSScriptAnalyzer is not installed")
    assert (ran.returncode, ran.stdout.strip()) == (0, "")
