"""Ed25519 keys: made, kept under a passphrase, and used to sign and to check.

The private key is a PEM file in PKCS #8, encrypted [1]_; the public one is one word of text. The
scheme is Ed25519 of RFC 8032 [2]_, by the library *cryptography*.

References
----------
.. [1] RFC 5958, Asymmetric Key Packages; RFC 8018, PKCS #5 2.1.
.. [2] RFC 8032, Edwards-Curve Digital Signature Algorithm.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from qa_suite.core.errors import InputError
from qa_suite.core.plain_files import read_bytes
from qa_suite.core.whole_files import place_new

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SHORTEST_PASSPHRASE = 12
_PREFIX = "ed25519:"
_KEY_BYTES = 32
_MOST_BYTES = 16 << 10


def require_passphrase(passphrase: str) -> bytes:
    """Return a passphrase as bytes.

    Raises
    ------
    InputError
        If it is shorter than :data:`SHORTEST_PASSPHRASE` characters.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise InputError(
            f"A passphrase has at least {SHORTEST_PASSPHRASE} characters, and this one has "
            f"{len(passphrase)}."
        )
    return passphrase.encode()


def make_key(path: Path, passphrase: str) -> str:
    """Make a key pair; write the private key, encrypted, and return the public one.

    Parameters
    ----------
    path
        Of the private key; readable by its owner alone, and never in the place of another file.
    passphrase
        At least :data:`SHORTEST_PASSPHRASE` characters.

    Raises
    ------
    InputError
        If there is such a file, or the passphrase is too short.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    secret = require_passphrase(passphrase)
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(secret),
    )
    path = Path(path)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        place_new(draft, path)
    except FileExistsError:
        raise InputError(f"{path} is there already, and a key is never overwritten.") from None
    finally:
        draft.unlink(missing_ok=True)
    return public_text(key)


def load_key(path: Path, passphrase: str) -> Ed25519PrivateKey:
    """Read a private key.

    Raises
    ------
    InputError
        If it is none, is not Ed25519, lies open without a passphrase, or the passphrase is wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    content = read_bytes(path, most_bytes=_MOST_BYTES)
    if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" not in content:
        raise InputError(
            f"{path} is no encrypted private key (PEM, PKCS #8); 'qa-suite key' makes one."
        )
    try:
        key = serialization.load_pem_private_key(content, passphrase.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InputError(
            f"The key {path} cannot be opened: the passphrase is wrong, or the file was changed."
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"The key {path} is not Ed25519; 'qa-suite key' makes one.")
    return key


def public_text(key: Ed25519PrivateKey) -> str:
    """Return the public key of a private one, as ``ed25519:`` and Base64."""
    return _PREFIX + base64.b64encode(key.public_key().public_bytes_raw()).decode()


def key_problem(public: str) -> str:
    """Say why a text is no public key; nothing where it is one."""
    try:
        _raw(public)
    except ValueError as error:
        return str(error)
    return ""


def fingerprint(public: str) -> str:
    """Return what a key is told by: sixteen digits of the SHA-256 of its 32 bytes, in fours."""
    digits = hashlib.sha256(_raw(public)).hexdigest()[:16]
    return " ".join(digits[n : n + 4] for n in range(0, 16, 4))


def sign(key: Ed25519PrivateKey, content: bytes) -> str:
    """Return the signature of some bytes, in Base64."""
    return base64.b64encode(key.sign(content)).decode()


def is_signed(public: str, signature: str, content: bytes) -> bool:
    """Whether a signature is that of these bytes by this key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        given = base64.b64decode(signature, validate=True)
        Ed25519PublicKey.from_public_bytes(_raw(public)).verify(given, content)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _raw(public: str) -> bytes:
    if not public.startswith(_PREFIX):
        raise ValueError(f"a public key begins with {_PREFIX!r}")
    try:
        raw = base64.b64decode(public.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a public key is written in Base64") from None
    if len(raw) != _KEY_BYTES:
        raise ValueError(f"a public key has {_KEY_BYTES} bytes, and this one {len(raw)}")
    return raw
