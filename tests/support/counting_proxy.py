"""A loopback proxy before one service of Azurite that counts what is asked of it, and may stop answering."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import urlsplit

_HOP = {"transfer-encoding", "connection", "keep-alive", "content-length"}


@dataclass
class CountingProxy:
    """The table service behind a port of its own; a shared key signs path and headers, not the port."""

    connection: str
    requests: list[str] = field(default_factory=list)
    answers: int | None = None
    """How many requests are still answered; None for all."""
    goes_on: Event = field(default_factory=Event)
    """Set when what waits for an answer shall have it."""

    def taken(self) -> list[str]:
        """Return the requests since the last call, each as method and path."""
        found, self.requests[:] = list(self.requests), []
        return found


@contextmanager
def counting_proxy(connection: str) -> Iterator[CountingProxy]:
    """Yield a proxy before the tables of a connection string."""
    parts = dict(part.split("=", 1) for part in connection.rstrip(";").split(";"))
    target = urlsplit(parts["TableEndpoint"])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            proxy.requests.append(f"{self.command} {self.path}")
            if proxy.answers is not None and len(proxy.requests) > proxy.answers:
                proxy.goes_on.wait()
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            onward = http.client.HTTPConnection(str(target.hostname), target.port)
            onward.request(self.command, self.path, body, dict(self.headers))
            answer = onward.getresponse()
            content = answer.read()
            onward.close()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names that the library looks for

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        parts["TableEndpoint"] = f"http://127.0.0.1:{server.server_port}{target.path}"
        proxy = CountingProxy(";".join(f"{name}={value}" for name, value in parts.items()) + ";")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.goes_on.set()
            server.shutdown()
            thread.join()
