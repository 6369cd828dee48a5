#!/usr/bin/env bash
# What the Azure CLI asks of a Flex Consumption app's publishing site when it is told not to build a Python app remotely:
#
#   az functionapp deployment source config-zip --build-remote false ...
#
#   azure-cli 2.91.0: POST /api/publish?RemoteBuild=True, so the platform installs requirements.txt anew all the same;
#     a package that was built beforehand is not what runs then, and may be built for another Python (Azure/azure-dev,
#     issue 8538). For an app of another language the option is obeyed.
#
# `enable_zip_deploy_flex` of the published wheel does the deployment. It is run here as it is, with the zip that it is
# given, against a web server on this machine; what it asks az about the app (address, runtime, token) is played.
#
# Needs Python 3.10 or newer and PyPI. Exit code 0: it is as told here; 1: something else was seen; 2: it could not be
# tried.
set -euo pipefail

readonly CLI=2.91.0 REQUESTS=2.34.2
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >ask.py <<'ASK'
"""Runs the function of the wheel for an app of one runtime; prints what the publishing site was asked."""
import ast
import http.server
import logging
import sys
import threading
import types
import zipfile

runtime, wheel = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    module = ast.parse(archive.read("azure/cli/command_modules/appservice/custom.py"))
(function,) = [one for one in module.body if getattr(one, "name", "") == "enable_zip_deploy_flex"]


class Site(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        print(f"{runtime}: POST {self.path}")
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_):
        pass


site = http.server.HTTPServer(("127.0.0.1", 0), Site)
threading.Thread(target=site.serve_forever, daemon=True).start()
util = types.ModuleType("azure.cli.core.util")
util.should_disable_connection_verify = lambda: False
sys.modules |= {"azure.cli.core.util": util}
for name in ("azure", "azure.cli", "azure.cli.core"):
    sys.modules[name] = types.ModuleType(name)
played = {
    "logger": logging.getLogger(),
    "_get_scm_url": lambda *_: f"http://127.0.0.1:{site.server_port}",
    "get_runtime_config": lambda *_: {"name": runtime, "version": "3.13"},
    "get_scm_site_headers_flex": lambda *_, additional_headers: dict(additional_headers),
    "_check_zip_deployment_status_flex": lambda *_: None,
    "ResourceNotFoundError": Exception,
}
exec(compile(ast.Module([function], []), "custom.py", "exec"), played)
with zipfile.ZipFile("app.zip", "w") as package:
    package.writestr("host.json", "{}")
played["enable_zip_deploy_flex"](types.SimpleNamespace(cli_ctx=None), "group", "app", "app.zip", build_remote=False)
ASK

python="${PYTHON:-python3}"
try() { "$@" || { echo "Not tried: $* failed" >&2; exit 2; }; }
try "$python" -m venv own
try own/bin/python -m pip install --quiet --disable-pip-version-check "requests==$REQUESTS"
try own/bin/python -m pip download --quiet --disable-pip-version-check --no-deps "azure-cli==$CLI"
wheel="azure_cli-$CLI-py3-none-any.whl"
seen="$(own/bin/python ask.py python "$wheel" 2>err; own/bin/python ask.py node "$wheel" 2>>err)" || { cat err; exit 1; }
printf 'azure-cli %s, told not to build remotely:\n%s\n' "$CLI" "$seen"
expected='python: POST /api/publish?RemoteBuild=True&Deployer=az_cli
node: POST /api/publish?RemoteBuild=False&Deployer=az_cli'
[ "$seen" = "$expected" ] || { echo 'Something else than what is told at the head of this file.'; exit 1; }
echo 'As told: for Python it has the platform build all the same.'
