"""Application Insights' ingestion, on this machine: keeps whatever an exporter sends to it."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

INSTRUMENTATION_KEY = "0b7e3b52-6f0c-4c0e-9d0a-3f6f3f1c2d4e"


@dataclass
class Ingestion:
    """What arrived: the path and text of each request, in order."""

    port: int
    paths: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def connection_string(self) -> str:
        """What the app setting would be, were this Application Insights."""
        return f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint=http://127.0.0.1:{self.port}"

    def items(self) -> list[dict[str, Any]]:
        """Every telemetry item that arrived."""
        return [item for text in self.texts for item in json.loads(text)]


@contextmanager
def ingestion() -> Iterator[Ingestion]:
    """Run the endpoint on a free port; it takes everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            text = (gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body).decode()
            taken.paths.append(self.path)
            taken.texts.append(text)
            count = len(json.loads(text))
            answer = json.dumps({"itemsReceived": count, "itemsAccepted": count, "errors": []}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taken = Ingestion(server.server_port)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield taken
        finally:
            server.shutdown()
            thread.join()
