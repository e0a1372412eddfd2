"""What can go wrong with a request, and how it is told."""

from __future__ import annotations

from hearth_core.errors import PermanentError


class RequestError(PermanentError):
    """A request that cannot be answered; names the field, its value and what to do."""

    status = 422

    def __init__(self, field: str, value: object, message: str, remedy: str | None = None) -> None:
        self.field, self.value, self.remedy = field, value, remedy
        super().__init__(message)

    def as_json(self) -> dict[str, dict[str, object]]:
        """Return the body of the answer."""
        error = {"field": self.field, "value": self.value, "message": str(self)}
        return {"error": error | ({"remedy": self.remedy} if self.remedy else {})}


class NotFoundError(RequestError):
    """What was asked for does not exist."""

    status = 404
