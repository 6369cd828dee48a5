"""Stands in for `az`: answers the calls of our programs from a tenant in a JSON file, and records each call.

`az rest` is answered for graph-access.sh, `az account get-access-token` and `az cloud show` for local.publish. Runs as
a program of its own, by the path of the state file and then az's arguments. Invariant: it knows only the requests that
Microsoft documents for app role assignments; any other is a failure, so that the script cannot pass by asking for
something that does not exist.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

GRAPH = "https://graph.microsoft.com/v1.0/"
GRAPH_BY_APP_ID = "servicePrincipals(appId='00000003-0000-0000-c000-000000000000')"

Answer = dict[str, Any]


def main(state_file: Path, arguments: list[str]) -> int:
    """Carry out one call on the tenant in the file; return az's exit code."""
    tenant = json.loads(state_file.read_text())
    if arguments[:1] != ["rest"]:
        return tell(tenant, arguments)
    options = parse(arguments)
    path = options.url.removeprefix(GRAPH)
    tenant["calls"].append([options.method, path])
    answer = CALLS[options.method](tenant, path, options)
    state_file.write_text(json.dumps(tenant))
    if answer is None:
        sys.stderr.write(f"Not Found: {options.method} {path}\n")
        return 1
    if options.output == "tsv":
        import jmespath  # noqa: PLC0415 - what asks for a token only, does not wait for it

        sys.stdout.write(as_tsv(jmespath.search(options.query, answer)))
    return 0


def tell(tenant: Answer, arguments: list[str]) -> int:
    """Print who is signed in to which cloud, as az does; return its exit code. Any other command ends the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", nargs=2)
    parser.add_argument("--resource", choices=list(tenant["endpoints"].values()))
    parser.add_argument("--subscription", default=tenant["subscription"])
    parser.add_argument("--output", choices=["json"], required=True)
    options = parser.parse_args(arguments)
    if tuple(options.command) == ("cloud", "show"):
        sys.stdout.write(json.dumps({"endpoints": tenant["endpoints"]}))
    elif tuple(options.command) != ("account", "get-access-token"):
        parser.error(f"unknown command {options.command}")
    elif not tenant["signed_in"] or options.resource in tenant["no_token_for"]:
        sys.stderr.write("ERROR: Please run 'az login' to setup account.\n")
        return 1
    else:
        token = {"accessToken": f"token-for-{options.resource}", "subscription": options.subscription}
        sys.stdout.write(json.dumps(token))
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options of `az rest`; ends the program on any other command or option."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["rest"])
    for name in ("method", "url", "query", "output", "headers", "body"):
        parser.add_argument(f"--{name}")
    return parser.parse_args(arguments)


def get(tenant: Answer, path: str, _options: argparse.Namespace) -> Answer | None:
    """Return Graph's service principal, the identity, or the identity's assignments."""
    identity = f"servicePrincipals/{tenant['identity']['id']}"
    answers = {
        GRAPH_BY_APP_ID: tenant["graph"],
        identity: tenant["identity"],
        f"{identity}/appRoleAssignments?$top=999": {"value": tenant["assignments"]},
    }
    answer: Answer | None = answers.get(path)
    return answer


def post(tenant: Answer, path: str, options: argparse.Namespace) -> Answer | None:
    """Add an assignment, as Graph does: refused if it stands, or for a role or a principal that is not there."""
    body = json.loads(options.body)
    known = {role["id"] for role in tenant["graph"]["appRoles"]}
    standing = {one["appRoleId"] for one in tenant["assignments"]}
    if path != f"servicePrincipals/{tenant['graph']['id']}/appRoleAssignedTo" or body["appRoleId"] in standing:
        return None
    if body["appRoleId"] not in known or body["principalId"] != tenant["identity"]["id"]:
        return None
    added = {**body, "id": f"assignment-{len(tenant['calls'])}", "resourceDisplayName": "Microsoft Graph"}
    tenant["assignments"].append(added)
    return added


def delete(tenant: Answer, path: str, _options: argparse.Namespace) -> Answer | None:
    """Remove an assignment of the identity."""
    match = re.fullmatch(rf"servicePrincipals/{tenant['identity']['id']}/appRoleAssignments/(\S+)", path)
    left = [one for one in tenant["assignments"] if match is None or one["id"] != match[1]]
    if len(left) == len(tenant["assignments"]):
        return None
    tenant["assignments"] = left
    return {}


CALLS = {"get": get, "post": post, "delete": delete}


def as_tsv(found: object) -> str:
    """Return a query's result as `--output tsv` prints it: a line per row, a tab between cells."""
    rows = found if isinstance(found, list) else [found]
    cells = [row if isinstance(row, list) else [row] for row in rows]
    return "".join("\t".join(map(str, row)) + "\n" for row in cells)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
