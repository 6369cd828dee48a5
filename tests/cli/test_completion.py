"""A shell completes commands, options and their values, and a Tab loads nothing that it does not need."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import COMMAND, ROOT, environment

PAGE = (ROOT / "docs" / "operators.md").read_text()
DEAR = ("azure", "rich", "pydantic", "aiohttp")


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("li", {"list"}),
        ("s", {"show", "statistics", "status", "submit", "schema"}),
        ("submit ", {"email", "url", "file"}),
        ("list --sta", {"--state"}),
        ("list --state fa", {"failed"}),
        ("submit url --category m", {"malware"}),
        ("replay --d", {"--dry-run"}),
        ("export --format p", {"parquet"}),
        ("list --output ", {"table", "json", "tsv"}),
        ("list --acc", {"--account"}),
    ],
)
def test_bash_completes(words: str, completed: set[str], tmp_path: Path) -> None:
    """By the line that the page gives, in the shell itself."""
    command = tmp_path / "submissions"
    command.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    command.chmod(0o755)
    line = 'eval "$(_SUBMISSIONS_COMPLETE=bash_source submissions)"'
    assert f"`{line}`" in PAGE
    typed = " ".join(f"'{word}'" for word in f"submissions {words}".split(" "))
    press = f"COMP_WORDS=({typed})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n_submissions_completion submissions"
    done = subprocess.run(
        ["/bin/bash", "-c", f'set -e\n{line}\n{press}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'],
        env=environment(None, PATH=f"{tmp_path}:/usr/bin:/bin"),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert (set(done.stdout.decode().split()), done.stderr) == (completed, b"")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_get_their_script(shell: str) -> None:
    """It is for this command, and the page names how to ask for it."""
    variable = f"_SUBMISSIONS_COMPLETE={shell}_source"
    assert f"{variable} submissions" in PAGE
    env = environment(None, _SUBMISSIONS_COMPLETE=f"{shell}_source")
    done = subprocess.run(COMMAND, env=env, capture_output=True, timeout=60, check=True)
    assert f"_SUBMISSIONS_COMPLETE={shell}_complete" in done.stdout.decode()


@pytest.mark.parametrize("words", ["li", "list --sta", "submit url --category ", "replay --d", "status --"])
def test_a_tab_is_quick(words: str) -> None:
    """Neither Azure's libraries nor those for screens and messages are loaded."""
    typed = f"submissions {words}"
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMAND[1:]],
        env=environment(None, _SUBMISSIONS_COMPLETE="bash_complete", **asked),
        capture_output=True,
        timeout=60,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.decode().splitlines()}
    assert "click" in loaded
    assert loaded.isdisjoint(DEAR), loaded & set(DEAR)
    assert done.stdout
