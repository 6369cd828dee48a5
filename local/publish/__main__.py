"""`python -m local.publish`: examines, uploads, and waits until Azure lists every function.

Invariant: exit code 0 means that what the command is for has been done; 1 that it stopped, with a name and what to do
next on standard error; 2 that an option is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from local.publish.account import Account
from local.publish.azure import Azure, Identity, find_app
from local.publish.grants import how_to_grant, require_grants, wanted_by
from local.publish.listing import wait_until_listed
from local.publish.package import DIST, Package, choose_package, read_package, require_python, unpack
from local.publish.patience import Patience
from local.publish.trouble import Trouble
from local.publish.upload import upload

AZD_FOLDER = DIST / "azd"
"""Where azure.yaml has azd find the app."""
_ABOUT = """Publish the deployment package to its function app.

commands:
  all         check, upload, wait until Azure lists every function; what happens when no command is named
  check       whether package and grants are right for the app; changes nothing in Azure
  confirm     wait until Azure lists every function of the package
  azd-package lay the package out for azd
  azd-deploy  check, then lay the package out for azd
  next-steps  print the grants that are left; asks nobody

All but next-steps need the Azure CLI, signed in as somebody with Website Contributor on the app. All may be repeated.
Defaults in capitals are environment variables, as azd sets them for its hooks."""
_DOCTOR = """
Azure knows every function. Now let the app examine itself, as a member of the administrators' group:

   python -m shared.doctor --in-app --table-service-uri {} --control-mailbox SOMEBODY_ELSE
"""
_LEFT = """
Deployed. Two grants are left, each by the administrator who may. Make them before the app is published: a token without
them is kept by Azure for a day. Where the app runs already, submissions pause until they are made, and nothing is lost.

"""


class Job:
    """One run of a command: what was asked for, and the app that it is about."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.azure = Azure(Account(given.subscription))
        self.app = find_app(self.azure, given.resource_group, given.name)
        self.patience = Patience(given.limit_s, given.pause_s)
        print(f"app      {self.app.name}, Python {self.app.python_version}")

    @cached_property
    def package(self) -> Package:
        """The package that was named, else the one in dist/ for the app's Python. Raises Trouble where none fits."""
        if self.given.package is None:
            found = choose_package(DIST, self.app.python_version)
        else:
            found = read_package(self.given.package)
            require_python(found, self.app.python_version)
        print(f"package  {found.told()}")
        return found

    def require_grants(self) -> None:
        """Raise Trouble where the app's identity lacks a grant, or Graph does not tell."""
        require_grants(self.azure, self.app.identity, wanted_by(os.environ), are_made=self.given.grants_made)

    def check(self) -> None:
        """Raise Trouble where package or grants are not right; where both are not, both are told."""
        about_package, about_grants = _trouble_in(lambda: self.package), _trouble_in(self.require_grants)
        if about_package and about_grants:
            print(f"{about_package.told()}\n", file=sys.stderr)
        if trouble := about_grants or about_package:
            raise trouble

    def confirm(self) -> None:
        """Wait until Azure lists every function, then tell how to run the doctor. Raises Trouble where it does not."""
        wait_until_listed(self.azure, self.app, self.package.functions, self.patience)
        print(_DOCTOR.format(self.given.table_service_uri))


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command; return the process's exit code."""
    parser = _parser(os.environ)
    given = parser.parse_args(arguments)
    if given.command != "next-steps" and not (given.resource_group and given.name):
        parser.error("name the app: --resource-group and --name")
    try:
        _COMMANDS[given.command](given)
    except Trouble as trouble:
        print(trouble.told(), file=sys.stderr)
        return 1
    return 0


def _all(given: argparse.Namespace) -> None:
    job = Job(given)
    job.check()
    upload(job.azure, job.app, job.package, job.patience)
    job.confirm()


def _azd_package(given: argparse.Namespace) -> None:
    unpack(Job(given).package, AZD_FOLDER)


def _azd_deploy(given: argparse.Namespace) -> None:
    job = Job(given)
    job.check()
    unpack(job.package, AZD_FOLDER)


def _next_steps(_given: argparse.Namespace, settings: Mapping[str, str] = os.environ) -> None:
    identity = Identity(
        settings.get("identityPrincipalId") or "OBJECT_ID", settings.get("identityClientId") or "CLIENT_ID"
    )
    print(_LEFT + how_to_grant(identity, wanted_by(settings), settings))


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "all": _all,
    "check": lambda given: Job(given).check(),
    "confirm": lambda given: Job(given).confirm(),
    "azd-package": _azd_package,
    "azd-deploy": _azd_deploy,
    "next-steps": _next_steps,
}


def _parser(settings: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.publish", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("command", nargs="?", choices=_COMMANDS, default="all", metavar="COMMAND")
    add("--resource-group", default=settings.get("AZURE_RESOURCE_GROUP"), help="the app's group; AZURE_RESOURCE_GROUP")
    add("--name", default=settings.get("functionAppName"), help="the function app; functionAppName")
    add("--subscription", default=settings.get("AZURE_SUBSCRIPTION_ID", ""), help="AZURE_SUBSCRIPTION_ID, or az's own")
    add("--package", type=Path, help="the zip; else the one in dist/ that was made for the app's Python")
    add(
        "--grants-made",
        action="store_true",
        default=settings.get("GRANTS_MADE") == "yes",
        help="where Microsoft Graph does not tell, take it that the grants are made; GRANTS_MADE=yes",
    )
    uri = settings.get("tableServiceUri") or "<tableServiceUri>"
    add("--table-service-uri", default=uri, help="for the doctor's command; tableServiceUri")
    add(
        "--limit-s",
        type=float,
        default=900,
        help="longest wait for the deployment, and again for the list (%(default)s)",
    )
    add("--pause-s", type=float, default=10, help="seconds between two questions (%(default)s)")
    return parser


def _trouble_in(step: Callable[[], object]) -> Trouble | None:
    try:
        step()
    except Trouble as trouble:
        return trouble
    return None


if __name__ == "__main__":
    sys.exit(main())
