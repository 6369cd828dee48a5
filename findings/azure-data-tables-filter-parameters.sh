#!/usr/bin/env bash
# `query_entities(filter, parameters=…)` of azure-data-tables puts values in the place of `@name` in an OData filter, and
# quotes them. It splits the filter at blanks and nothing else, so a name in brackets is not found:
#
#   azure-data-tables 12.7.0
#   Name eq @name and Age gt @age      Name eq 'O''Hara' and Age gt 3
#   (Name eq @name) or (Age gt @age)   KeyError: 'name)'
#   ( Name eq @name ) or ( Age gt @age )   as it should be: blanks inside the brackets help
#
# Seen before anything is sent, with a filter that the service takes once the values are in their places.
#
# Needs Python 3.10 or newer and PyPI. Exit code 0: it is as told here; 1: something else was seen; 2: it could not be
# tried.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check azure-data-tables==12.7.0 || exit 2

cat >ask.py <<'ASK'
"""Asks a table of a web server on this machine; prints the filters that reached it."""
import http.server
import threading
import urllib.parse

from azure.data.tables import TableClient

got = []


class Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        got.append(urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["$filter"][0])
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
with TableClient.from_connection_string(account, "table", retry_total=0) as table:
    for text in ("Name eq @name and Age gt @age", "(Name eq @name) or (Age gt @age)", "( Name eq @name ) or ( Age gt @age )"):
        try:
            list(table.query_entities(text, parameters={"name": "O'Hara", "age": 3}))
            print(got.pop())
        except KeyError as error:
            print(f"KeyError: {error}, {len(got)} requests")
ASK

cat >expected <<'EXPECTED'
Name eq 'O''Hara' and Age gt 3
KeyError: 'name)', 0 requests
( Name eq 'O''Hara' ) or ( Age gt 3 )
EXPECTED

venv/bin/python ask.py | tee seen
diff expected seen && echo "As told."
