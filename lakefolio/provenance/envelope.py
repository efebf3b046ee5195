"""Signing a statement with an Ed25519 key, and checking that: DSSE envelopes (https://github.com/secure-systems-lab/dsse).

All cryptography is that of the package ``cryptography``, the extra ``sign``. Keys are PEM files, as OpenSSL makes them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError, LocalFileNotFoundError, UnsupportedTypeError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["is_envelope", "opened", "signed"]

PAYLOAD: Final = "application/vnd.in-toto+json"


def signed(payload: bytes, key: str | Path) -> dict[str, Any]:
    """Return an envelope of a payload, signed with the private key in a PEM file.

    Raises:
        LocalFileNotFoundError: There is no such file.
        InvalidInputError: kind ``bad-key``: it holds no unencrypted private Ed25519 key.
        UnsupportedTypeError: The package ``cryptography`` is missing.
    """
    private = _private(key)
    signature = private.sign(_authenticated(payload))
    found = {"keyid": _keyid(private.public_key()), "sig": base64.b64encode(signature).decode()}
    return {"payloadType": PAYLOAD, "payload": base64.b64encode(payload).decode(), "signatures": [found]}


def is_envelope(value: object) -> bool:
    """Say whether a JSON value is meant as an envelope."""
    return isinstance(value, dict) and "payload" in value and "payloadType" in value


def opened(envelope: dict[str, Any], key: str | Path | None) -> tuple[bytes, str, list[str]]:
    """Return the payload of an envelope, what is known of its signature, and what is wrong.

    Args:
        envelope: The JSON value; not trusted.
        key: The PEM file with the public key, or a private one; None checks nothing.
    """
    public = None if key is None else _public(key)
    signatures = envelope.get("signatures")
    given = [one for one in signatures if isinstance(one, dict)] if isinstance(signatures, list) else []
    otherwise = "none" if not given else "unchecked" if public is None else "wrong"
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
    except (binascii.Error, TypeError, ValueError):
        return b"", otherwise, ["its payload is not base64"]
    if envelope["payloadType"] != PAYLOAD:
        return payload, otherwise, [f"its payload is not {PAYLOAD}"]
    if public is None:
        return payload, otherwise, []
    if any(_fits(public, one.get("sig"), payload) for one in given):
        return payload, "valid", []
    return payload, otherwise, ["the key given has not signed it" if given else "it is not signed"]


def _fits(public: Ed25519PublicKey, signature: object, payload: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(base64.b64decode(str(signature), validate=True), _authenticated(payload))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _authenticated(payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding, which binds the type too."""
    kind = PAYLOAD.encode()
    return b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])


def _keyid(public: Ed25519PublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _private(key: str | Path) -> Ed25519PrivateKey:
    found = _loaded(key, private=True)
    assert hasattr(found, "sign")
    return found  # type: ignore[no-any-return]


def _public(key: str | Path) -> Ed25519PublicKey:
    found = _loaded(key, private=False)
    return found.public_key() if hasattr(found, "public_key") else found  # type: ignore[no-any-return]


def _loaded(key: str | Path, *, private: bool) -> Any:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
    except ImportError as exc:
        raise UnsupportedTypeError(
            "signatures need the package cryptography", kind="missing-library", hint="pip install 'lakefolio[sign]'"
        ) from exc
    path = Path(key).expanduser()
    try:
        text = path.read_bytes()
    except OSError as exc:
        raise LocalFileNotFoundError(f"key {str(path)!r} can't be read: {exc.strerror}", path=str(path)) from exc
    try:
        is_private = b"PRIVATE KEY" in text
        found: Any = load_pem_private_key(text, None) if is_private else load_pem_public_key(text)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PrivateKey if private else Ed25519PrivateKey | Ed25519PublicKey):
        raise InvalidInputError(
            f"{str(path)!r} holds no {'private' if private else 'public'} Ed25519 key that is not encrypted",
            kind="bad-key",
            hint="openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out key.pub",
            path=str(path),
        )
    return found
