"""Which cluster may be spoken with: whoever can send work to a scheduler runs code as its owner.

So beyond this machine nothing is said but by TLS with certificates of both sides, and nothing is
read from a scheduler whose workers would be spoken with in the open.
"""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qa_suite.core.errors import InputError

CA, CERTIFICATE, KEY = "ca.pem", "cert.pem", "key.pem"
"""What a folder of certificates holds."""
_SCHEMES = ("tcp", "tls")


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """The files of one side: who signs, its own certificate, and the key of that."""

    ca: Path
    certificate: Path
    key: Path


def address_problems(address: str) -> Iterator[str]:
    """Say why an address of a scheduler or worker may not be spoken with."""
    scheme, sign, place = address.partition("://")
    if not sign:
        yield f"{address!r} names no protocol; write tls://HOST:PORT, or tcp:// on this machine"
        return
    if scheme not in _SCHEMES:
        yield f"{address!r} is neither tls:// nor tcp://"
        return
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        yield f"{address!r} names no HOST:PORT"
    elif scheme == "tcp" and not _is_loopback(host):
        yield (
            f"{address} is not on this machine, and whoever reads or sends plain tcp:// there "
            f"could run code here; start scheduler and workers with certificates and give tls://{place}"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name: what it leads to may change


def certificate_problems(folder: Path) -> Iterator[str]:
    """Say what is wrong with a folder of certificates."""
    if not folder.is_dir():
        yield f"there is no folder {folder}"
        return
    for name in (CA, CERTIFICATE, KEY):
        if not (folder / name).is_file():
            yield f"{folder} holds no {name}"
    key = folder / KEY
    if key.is_file() and key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield f"{key} can be read by others; 'chmod 600 {key}' takes it from them"


def certificates(folder: Path) -> Certificates:
    """Return the files of a folder; see :func:`certificate_problems`."""
    folder = folder.absolute()
    return Certificates(ca=folder / CA, certificate=folder / CERTIFICATE, key=folder / KEY)


def require_safe(addresses: list[str], whose: str) -> None:
    """Refuse a cluster of which one would be spoken with in the open.

    Raises
    ------
    InputError
        With the first such address.
    """
    for address in addresses:
        for problem in address_problems(address):
            raise InputError(f"{whose}: {problem}.")
