"""The hub's signing key: homes believe plans and models of this key only."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hearth_core.errors import ConfigError

_NAME = "signing-key"


def load_key(data_dir: Path) -> Ed25519PrivateKey:
    """Return the private key; the first call creates it, readable by its owner only.

    Raises:
        ConfigError: The file cannot be read, or is no key.
    """
    path = data_dir / _NAME
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        # exclusive: of two processes that start together one creates, the other reads
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        remedy = f"It must be writable ({error})."
        raise ConfigError("environment", "HEARTH_HUB_DATA_DIR", str(data_dir), remedy) from error
    key = Ed25519PrivateKey.generate()
    with os.fdopen(handle, "wb") as file:
        file.write(base64.b64encode(key.private_bytes_raw()) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return key


def _read(path: Path) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(base64.b64decode(path.read_bytes(), validate=False))
    except (OSError, ValueError) as error:
        remedy = f"Restore it from a backup, or remove it and tell every agent the new public key ({error})."
        raise ConfigError(str(path), "key", "(hidden)", remedy) from error
