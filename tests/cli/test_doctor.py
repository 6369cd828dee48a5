"""`submissions doctor` as a process: the doctor's own lines and exit codes, with the command line's words."""

import json
from pathlib import Path

from shared.cli.condition import Pause
from tests.support.command_line import run
from tests.support.outcomes import NOW


def test_the_doctor_is_a_command_that_shows_its_lines_as_json(tmp_path: Path) -> None:
    """Without settings the first line is wrong, and the exit code says so."""
    done = run(None, "doctor", "--output", "json", folder=tmp_path)
    assert done.code == 2
    assert json.loads(done.out)["lines"][0]["name"] == "settings"


def test_an_account_lets_the_deployed_app_examine_itself(tmp_path: Path) -> None:
    """The account is read by the command line's own rule, and needs no word of --in-app."""
    done = run(None, "doctor", "--account", "No_Account", folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "--account is a storage account's name" in done.err


def test_the_app_cannot_be_asked_without_an_account(tmp_path: Path) -> None:
    """What is missing is told as every other command tells it."""
    done = run(None, "doctor", "--in-app", folder=tmp_path)
    assert done.code == 2
    assert "Give --account NAME" in done.err


def test_local_settings_that_are_missing_are_told(tmp_path: Path) -> None:
    """`--local` reads the settings file here."""
    done = run(None, "--local", "doctor", folder=tmp_path)
    assert done.code == 2
    assert "--local finds neither" in done.err


def test_a_pause_tells_of_the_command_that_is_installed() -> None:
    """Who installed the command has no clone to run the module in."""
    assert "`submissions doctor`" in Pause(NOW, "not_allowed", is_probing=False).told
