"""Fetches pip itself from the package index, for a Python that comes without `ensurepip` (Debian's, bare).

Standard library only. Reads what pip would read to find its index: PIP_INDEX_URL and pip's configuration files.
Invariant: what is returned has the pinned checksum, whichever index it came from.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
DEFAULT_INDEX = "https://pypi.org/simple"


class PipUnavailableError(Exception):
    """The pinned pip could not be fetched; the text says from where and why."""


def fetch_pip(folder: Path) -> Path:
    """Download the pinned pip wheel into `folder`, which must exist, and return its path.

    The wheel runs in place: `python <wheel>/pip install ...`. Raises PipUnavailableError when no index answers, none
    has this version, or the content has another checksum.
    """
    page_url = f"{read_pip_setting('index-url', DEFAULT_INDEX).rstrip('/')}/pip/"
    content = _read(find_wheel_url(page_url, _read(page_url).decode()))
    if hashlib.sha256(content).hexdigest() != PIP_SHA256:
        raise PipUnavailableError(f"{PIP_WHEEL} from {_without_password(page_url)} has an unexpected checksum")
    wheel = folder / PIP_WHEEL
    wheel.write_bytes(content)
    return wheel


def find_wheel_url(page_url: str, page: str) -> str:
    """Return the address of the pinned wheel on a project page of a package index.

    The page is HTML as PEP 503 wants it from every index. Raises PipUnavailableError when the wheel is not on it.
    """
    links: list[str] = re.findall(r"""href\s*=\s*["']([^"']+)["']""", page)
    for link in links:
        address = urllib.parse.urldefrag(urllib.parse.urljoin(page_url, link.replace("&amp;", "&"))).url
        if urllib.parse.urlsplit(address).path.endswith(f"/{PIP_WHEEL}"):
            return address
    raise PipUnavailableError(f"{_without_password(page_url)} does not offer {PIP_WHEEL}")


def read_pip_setting(name: str, default: str) -> str:
    """Return the value that pip itself would use for a global option such as `index-url`."""
    settings = configparser.RawConfigParser()
    settings.read(_configuration_files(), encoding="utf-8")
    configured: list[str] = [settings.get(section, name, fallback="") for section in ("install", "global")]
    in_environment = os.environ.get(f"PIP_{name.upper().replace('-', '_')}", "")
    return next((value for value in (in_environment, *configured) if value), default)


def _configuration_files() -> Iterator[Path]:
    home = Path.home()
    yield from (Path(folder) / "pip" / "pip.conf" for folder in _xdg_folders())
    yield Path("/etc/pip.conf")
    yield home / ".pip" / "pip.conf"
    yield Path(os.environ.get("XDG_CONFIG_HOME", home / ".config")) / "pip" / "pip.conf"
    if "PIP_CONFIG_FILE" in os.environ:
        yield Path(os.environ["PIP_CONFIG_FILE"])


def _xdg_folders() -> list[str]:
    return os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep)


def _read(url: str) -> bytes:
    # Without a file of its own, OpenSSL honours SSL_CERT_FILE.
    trusted = ssl.create_default_context(cafile=read_pip_setting("cert", "") or None)
    try:
        # Whatever the scheme, the checksum decides what is trusted.
        with urllib.request.urlopen(url, timeout=60, context=trusted) as answer:  # noqa: S310
            content: bytes = answer.read()
    except (OSError, ValueError) as error:
        raise PipUnavailableError(f"{_without_password(url)}: {error}") from error
    return content


def _without_password(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
