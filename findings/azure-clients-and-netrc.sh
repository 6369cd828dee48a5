#!/usr/bin/env bash
# What Azure's storage clients for Python do with a `.netrc` that names their host, or has a `default` entry, as people who
# use curl or git over https have. The client has its own key; the entry is meant for other programs.
#
#   azure-core 1.41.0, azure-data-tables 12.7.0
#   asynchronous, over aiohttp 3.14.5: nothing is sent. Each request ends in
#     ValueError: Cannot combine AUTHORIZATION header with AUTH argument or credentials encoded in URL
#   synchronous, over requests 2.34.2: the entry's `Basic …` stands in the place of the client's own `SharedKey …`, so that
#     the service refuses what the client was allowed to ask
#
# Both are switched off by `use_env_settings=False` at the client, which also leaves out the proxies of the environment.
# Seen with a table client and an account key; queue, blob and Monitor clients share the transports.
#
# Needs Python 3.10 or newer and PyPI. Exit code 0: it is as told here; 1: something else was seen; 2: it could not be
# tried.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check \
  azure-core==1.41.0 azure-data-tables==12.7.0 aiohttp==3.14.5 requests==2.34.2 || exit 2
printf 'default login somebody password of-another-site\n' >netrc
chmod 600 netrc

cat >ask.py <<'ASK'
"""Asks a table of a web server on this machine, with both kinds of client; prints what became of it."""
import asyncio
import http.server
import os
import threading

from azure.data.tables import TableClient
from azure.data.tables.aio import TableClient as AsyncTableClient

got = []


class Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        got.append(self.headers["Authorization"].split()[0])
        self.send_response(200)
        self.send_header("Content-Type", "application/json;odata=minimalmetadata")
        self.send_header("Content-Length", "12")
        self.end_headers()
        self.wfile.write(b'{"value":[]}')

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
account = f"AccountName=name;AccountKey={'A' * 86}==;TableEndpoint=http://127.0.0.1:{server.server_port}/name;"


def ask(**options):
    got.clear()
    with TableClient.from_connection_string(account, "table", retry_total=0, **options) as table:
        list(table.list_entities())
    return got[0]


async def ask_async(**options):
    got.clear()
    try:
        async with AsyncTableClient.from_connection_string(account, "table", retry_total=0, **options) as table:
            [entity async for entity in table.list_entities()]
    except ValueError as error:
        return f"{len(got)} requests, ValueError: {error}"
    return got[0]


for name in ("", "netrc"):
    os.environ["NETRC"] = os.path.abspath(name) if name else os.devnull
    for told, options in (("", {}), (" use_env_settings=False", {"use_env_settings": False})):
        print(f"{name or 'none'}{told}: sync {ask(**options)}; async {asyncio.run(ask_async(**options))}")
ASK

cat >expected <<'EXPECTED'
none: sync SharedKey; async SharedKey
none use_env_settings=False: sync SharedKey; async SharedKey
netrc: sync Basic; async 0 requests, ValueError: Cannot combine AUTHORIZATION header with AUTH argument or credentials encoded in URL
netrc use_env_settings=False: sync SharedKey; async SharedKey
EXPECTED

venv/bin/python ask.py | tee seen
diff expected seen && echo "As told."
