"""The errors that the fake answers with, in the form and with the codes of Stripe's API."""

from collections.abc import Mapping
from typing import Any


class ApiProblem(Exception):
    """An error answer. `kept` says that it is stored under the request's key, as Stripe does once it has begun."""

    def __init__(self, status: int, kind: str, message: str, *, kept: bool = False, **fields: object) -> None:
        super().__init__(message)
        self.status = status
        self.kept = kept
        self.body: Mapping[str, Any] = {
            "error": {"type": kind, "message": message, **{k: v for k, v in fields.items() if v is not None}}
        }


def invalid(message: str, *, code: str | None = None, param: str | None = None, status: int = 400) -> ApiProblem:
    """A wrong request; nothing was begun."""
    return ApiProblem(status, "invalid_request_error", message, code=code, param=param)


def missing(what: str, given: str, param: str) -> ApiProblem:
    """There is no such object."""
    return invalid(f"No such {what}: '{given}'", code="resource_missing", param=param, status=404)


def wrong_state(message: str, code: str) -> ApiProblem:
    """The object is not in a state for that."""
    return ApiProblem(400, "invalid_request_error", message, code=code, kept=True)


def card_error(message: str, *, code: str, **fields: object) -> ApiProblem:
    """A decline."""
    return ApiProblem(402, "card_error", message, code=code, kept=True, **fields)
