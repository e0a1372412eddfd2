"""What can go wrong with a request, and how it is told."""

from __future__ import annotations

from hearth_core.errors import PermanentError


class RequestError(PermanentError):
    """A request that cannot be answered; names the field, its value and what to do."""

    status = 422
    retry_after_s: int | None = None
    """When to try again; None: the same request would not be answered then either."""

    def __init__(self, field: str, value: object, message: str, remedy: str | None = None) -> None:
        self.field, self.value, self.remedy = field, value, remedy
        super().__init__(message)

    def as_json(self) -> dict[str, dict[str, object]]:
        """Return the body of the answer."""
        error = {"field": self.field, "value": self.value, "message": str(self)}
        return {"error": error | ({"remedy": self.remedy} if self.remedy else {})}

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


class NotFoundError(RequestError):
    """What was asked for does not exist."""

    status = 404


class UnknownCallerError(RequestError):
    """The planning token is missing or another."""

    status = 401


class TooLargeError(RequestError):
    """The body is larger than what is read."""

    status = 413
