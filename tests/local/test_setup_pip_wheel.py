"""How set-up fetches pip for a Python without ensurepip, against an index on this machine."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local.pip_wheel import PIP_WHEEL, PipUnavailableError, fetch_pip, find_wheel_url, read_pip_setting


class Index(BaseHTTPRequestHandler):
    """An index that offers the right wheel name with the wrong content."""

    def do_GET(self) -> None:
        """Answer the project page and the wheel."""
        known = self.path in {"/simple/pip/", f"/files/{PIP_WHEEL}"}
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(f'<a href="/files/{PIP_WHEEL}">pip</a>'.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing on the terminal."""


@pytest.fixture
def index_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve an index and name it as a user would."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/simple"
        monkeypatch.setenv("PIP_INDEX_URL", url)
        yield url
        server.shutdown()


def test_a_wheel_with_another_checksum_is_refused(index_url: str, tmp_path: Path) -> None:
    """The index is asked where PIP_INDEX_URL says, but its content is not trusted."""
    with pytest.raises(PipUnavailableError, match=f"{index_url}/pip/ has an unexpected checksum"):
        fetch_pip(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_answer_names_the_address_without_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error tells which index failed and does not print the user's password."""
    monkeypatch.setenv("PIP_INDEX_URL", "file://user:secret@localhost/no/such/index")
    with pytest.raises(PipUnavailableError, match="file://localhost/no/such/index/pip/") as caught:
        fetch_pip(tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (f"../../files/{PIP_WHEEL}#sha256=00", f"https://index.example/files/{PIP_WHEEL}"),
        (f"https://files.example/a/{PIP_WHEEL}", f"https://files.example/a/{PIP_WHEEL}"),
        (f"/f/{PIP_WHEEL}?a=1&amp;b=2", f"https://index.example/f/{PIP_WHEEL}?a=1&b=2"),
    ],
)
def test_reads_the_links_that_indexes_write(link: str, expected: str) -> None:
    """Relative and absolute links, checksums and queries are all legal on a project page (PEP 503)."""
    page = f'<a href="../../files/pip-1.0.tar.gz">old</a>\n<a href="{link}" data-requires-python="">pip</a>'
    assert find_wheel_url("https://index.example/simple/pip/", page) == expected


def test_an_index_without_the_version_says_so() -> None:
    """The error names the page and the wheel that is missing."""
    with pytest.raises(PipUnavailableError, match=f"https://index.example/simple/pip/ does not offer {PIP_WHEEL}"):
        find_wheel_url("https://index.example/simple/pip/", "<a href='pip-1.0.tar.gz'>old</a>")


def test_settings_come_from_where_pip_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment wins over the configuration file, [install] over [global], and nothing leaves the default."""
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = one\ncert = ca.pem\n[install]\nindex-url = two\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_CERT", raising=False)
    assert read_pip_setting("index-url", "default") == "two"
    assert read_pip_setting("cert", "") == "ca.pem"
    assert read_pip_setting("no-such-option", "default") == "default"
    monkeypatch.setenv("PIP_INDEX_URL", "three")
    assert read_pip_setting("index-url", "default") == "three"
