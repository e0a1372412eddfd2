"""Signing of what steers a home: the hub's Ed25519 key, and the check an agent makes before it believes."""

from __future__ import annotations

import base64
import hashlib

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hearth_core.errors import SignatureError
from hearth_core.messages import Envelope, T, decode, encode


def key_id(public_key: Ed25519PublicKey) -> str:
    """Return a short name of a key: the start of the SHA-256 of its raw bytes."""
    return hashlib.sha256(public_key.public_bytes_raw()).hexdigest()[:16]


def public_key_text(private_key: Ed25519PrivateKey) -> str:
    """Return the public key as it stands in a site file (base64 of 32 bytes)."""
    return base64.b64encode(private_key.public_key().public_bytes_raw()).decode()


def public_key_from_text(text: str) -> Ed25519PublicKey:
    """Read a public key from a site file.

    Raises:
        ValueError: The text is not the base64 of 32 bytes.
    """
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))


def seal(message: msgspec.Struct, private_key: Ed25519PrivateKey) -> bytes:
    """Sign a message and return the envelope's bytes."""
    payload = encode(message)
    return encode(
        Envelope(
            key_id=key_id(private_key.public_key()),
            payload=payload.decode(),
            signature=private_key.sign(payload),
        )
    )


def unseal(sealed: bytes, public_key: Ed25519PublicKey, kind: type[T]) -> T:
    """Return the message inside an envelope.

    Raises:
        PoisonMessageError: The bytes are no envelope, or its payload not this message.
        SignatureError: The envelope was signed by another key, or changed on its way.
    """
    envelope = decode(sealed, Envelope)
    payload = envelope.payload.encode()
    try:
        public_key.verify(envelope.signature, payload)
    except InvalidSignature as error:
        expected = key_id(public_key)
        raise SignatureError(f"signed by key {envelope.key_id}, this home trusts {expected}") from error
    return decode(payload, kind)
