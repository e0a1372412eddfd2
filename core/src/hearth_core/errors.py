"""Errors are born transient (try again) or permanent (somebody must change something)."""

from __future__ import annotations


class HearthError(Exception):
    """Base of every error Hearth raises on purpose."""


class TransientError(HearthError):
    """The same call may succeed later; a retry loop may catch it."""


class PermanentError(HearthError):
    """Retrying cannot help: input, configuration or a signature is wrong."""


class ConfigError(PermanentError):
    """A file an installer edits is wrong; names the file, the field, the value and the remedy."""

    def __init__(self, source: str, field: str, value: object, remedy: str) -> None:
        self.source, self.field, self.value, self.remedy = source, field, value, remedy
        super().__init__(f"{source}: {field} = {value!r}: {remedy}")


class PoisonMessageError(PermanentError):
    """A message that can never be stored; it belongs to the dead letters, with this reason."""


class SignatureError(PermanentError):
    """An envelope was not signed by the key this home trusts."""
