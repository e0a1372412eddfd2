"""A home's file without what is nobody's business: passwords, keys and coordinates, in any form they may turn up.

Two nets: the file is written anew with such fields emptied, and whatever they held is blotted out of every text of the
bundle, also encoded for a URL, in base64 or in hexadecimal.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote, urlsplit

import yaml

REMOVED = "removed"
_SECRET_KEY = re.compile(r"pass|secret|token|credential|private|(^|_)(key|pin)s?$", re.IGNORECASE)
_PLACE_KEYS = {"latitude", "longitude", "name", "address", "location", "coordinates"}
_USER_INFO = re.compile(r"(?<=://)[^/\s@]*@")
_NUMBER = re.compile(r"-?[\d.]+")
# shorter ones would blot out ordinary words and numbers
_SHORTEST_SECRET = 4


def redact_file(text: str) -> str:
    """Return a home's file with secrets and coordinates removed; comments go as well.

    Raises:
        yaml.YAMLError: It is no YAML.
    """
    return yaml.safe_dump(_without(yaml.safe_load(text)), sort_keys=False, allow_unicode=True)


def secrets_in(text: str) -> set[str]:
    """Return every value that `redact_file` removes; empty when the text is no YAML."""
    try:
        return {value for value in _secret_values(yaml.safe_load(text)) if len(value) >= _SHORTEST_SECRET}
    except yaml.YAMLError:
        return set()


def blot_out(text: str, secrets: Iterable[str]) -> str:
    """Return a text in which no secret stands in any usual form, and no URL names its user.

    Example:
        >>> blot_out("mqtt://ann:p%40ss@hub: refused p@ss", ["p@ss"])
        'mqtt://removed@hub: refused removed'
    """
    text = _USER_INFO.sub(f"{REMOVED}@", text)
    forms = {form for secret in secrets for form in _forms(secret) if len(form) >= _SHORTEST_SECRET}
    for form in sorted(forms, key=len, reverse=True):
        # a coordinate is not part of a longer number
        pattern = rf"(?<![\d.]){re.escape(form)}(?!\d)" if _NUMBER.fullmatch(form) else re.escape(form)
        text = re.sub(pattern, REMOVED, text, flags=re.IGNORECASE)
    return text


def _without(value: object, key: str = "") -> object:
    if isinstance(value, dict):
        return {name: _without(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without(inner, key) for inner in value]
    if value is not None and _is_private(key):
        return REMOVED
    return _USER_INFO.sub(f"{REMOVED}@", value) if isinstance(value, str) else value


def _secret_values(value: object, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _secret_values(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _secret_values(inner, key)
    elif value is not None and _is_private(key):
        yield str(value)
    elif isinstance(value, str) and "://" in value:
        parts = urlsplit(value)
        yield from (unquote(part) for part in (parts.username, parts.password) if part)


def _is_private(key: str) -> bool:
    return key in _PLACE_KEYS or _SECRET_KEY.search(key) is not None


def _forms(secret: str) -> Iterator[str]:
    data = secret.encode()
    yield from (secret, secret.encode("unicode_escape").decode())
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret))
    yield from (base64.b64encode(data).decode().rstrip("="), base64.urlsafe_b64encode(data).decode().rstrip("="))
    yield from (data.hex(), data.hex(" "))
