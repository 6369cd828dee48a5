"""`python -m shared.doctor`: the command line of the doctor.

Ends with 0 when every line is green or was left out by choice, 1 when a line is wrong or unclear, 2 when the options or
the settings are wrong. What it says of a secret is nothing; progress goes to standard error, lines to standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from ..adapters.system_clock import SystemClock
from ..domain.text import is_address
from ..settings import DATA_STORAGE, Settings, SettingsError, StorageAccess
from ..stores.examinations import ExaminationRequest
from .asking import NoExaminationError, ask_app, open_examinations
from .diagnosis import diagnose
from .findings import Finding, is_green
from .plan import Options, wrong_settings
from .ports import StorageRefusedError
from .rendering import as_json, line, summary

GREEN, RED, MISUSED, INTERRUPTED = 0, 1, 2, 130
_LOCAL_FILES = ("local.settings.json", "local.settings.example.json")


class UsageError(Exception):
    """The options are wrong; the text says which."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    logging.getLogger("azure").setLevel(logging.CRITICAL)  # its warnings tell addresses, and no line's remedy
    try:
        return asyncio.run(_run(options))
    except KeyboardInterrupt:
        return INTERRUPTED
    except UsageError as error:
        _tell(f"cannot start: {error}")
        return MISUSED
    except (NoExaminationError, StorageRefusedError) as error:
        _tell(f"no examination: {error}")
        return RED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shared.doctor", description="Prove a tenant, line by line.")
    add = parser.add_argument
    add("--write", action="store_true", help="also try effects; nothing of them stays behind")
    add("--control-mailbox", metavar="ADDRESS", help="a mailbox that the app must not be able to read")
    add("--output", choices=("text", "json"), default="text")
    add("--in-app", action="store_true", help="let the deployed app run it, with its own identity, and wait for it")
    add("--table-service-uri", metavar="URI", help="of the data account, for --in-app without the app's settings")
    add("--local", action="store_true", help=f"take settings from {' or '.join(_LOCAL_FILES)} below the environment")
    return parser


async def _run(arguments: argparse.Namespace) -> int:
    """Take the examination where it was asked for, and show it."""
    wanted = Options(write=arguments.write, control_mailbox=_control_mailbox(arguments.control_mailbox))
    environment = _environment(is_local=arguments.local)
    if arguments.in_app:
        findings, error = await _ask_app(_table_access(environment, arguments.table_service_uri), wanted)
        return await _show(_replayed(findings), arguments.output, error)
    try:
        settings = Settings.load(environment)
    except SettingsError as failure:
        await _show(_replayed(wrong_settings(failure)), arguments.output)
        return MISUSED
    if wanted.control_mailbox in {box.address.lower() for box in settings.reporting_mailboxes}:
        raise UsageError("--control-mailbox names a reporting mailbox, which the app is meant to read")
    return await _show(diagnose(settings, wanted), arguments.output)


def _control_mailbox(text: str | None) -> str | None:
    if text is not None and not is_address(text):
        raise UsageError("--control-mailbox must be a mail address")
    return None if text is None else text.lower()


def _environment(*, is_local: bool) -> Mapping[str, str]:
    """The environment, and for local work the settings file below it, as Core Tools read it."""
    if not is_local:
        return os.environ
    file = next((path for name in _LOCAL_FILES if (path := Path(name)).exists()), None)
    if file is None:
        raise UsageError(f"--local finds neither of {', '.join(_LOCAL_FILES)} here")
    return {**json.loads(file.read_text())["Values"], **os.environ}


def _table_access(environment: Mapping[str, str], uri: str | None) -> StorageAccess:
    """Where the table `runstate` is; with a URI, no other setting is needed."""
    uri = uri or environment.get(f"{DATA_STORAGE}__tableServiceUri")
    if uri is not None:
        if not uri.startswith("https://"):
            raise UsageError("--table-service-uri must begin with https://")
        return StorageAccess(table_service_uri=uri)
    try:
        return Settings.load(environment).submissions_storage
    except SettingsError:
        raise UsageError("--in-app needs --table-service-uri https://<account>.table.core.windows.net") from None


async def _ask_app(access: StorageAccess, wanted: Options) -> tuple[list[Finding], str | None]:
    clock = SystemClock()
    request = ExaminationRequest(uuid.uuid4().hex, clock.now(), wanted.write, wanted.control_mailbox)
    async with open_examinations(access) as examinations:
        answer = await ask_app(examinations, request, _tell, clock=clock)
    return answer.findings, answer.error


async def _show(findings: AsyncIterator[Finding], output: str, error: str | None = None) -> int:
    """Write the lines as they come, or all of them as JSON; returns the exit code."""
    shown = [_shown(finding, output) async for finding in findings]
    end = as_json(shown, error) if output == "json" else summary(shown)
    _write(end if error is None or output == "json" else f"{end}\nended early by {error}")
    return GREEN if is_green(shown) and error is None else RED


def _shown(finding: Finding, output: str) -> Finding:
    if output == "text":
        _write(line(finding, is_coloured=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    return finding


async def _replayed(findings: Sequence[Finding]) -> AsyncIterator[Finding]:
    for finding in findings:
        yield finding


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
