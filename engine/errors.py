"""Everything that can go wrong and is not a bug.

All of these cross process borders, so each hands its constructor arguments on to
`Exception` and pickles by them; none carries anything but plain values.
"""

from __future__ import annotations

__all__ = [
    "ConfigurationError",
    "Conflict",
    "Fenced",
    "FieldError",
    "MadanSaraError",
    "Overloaded",
    "RequestError",
    "ShardUnavailable",
    "StateFault",
    "UnknownCampaign",
    "WriteFailed",
]

FieldError = tuple[str, str]
"""A JSON pointer from the root of the request, and a sentence."""


class MadanSaraError(Exception):
    """The base. `status` is the HTTP status that answers it, `detail` a sentence for a person."""

    status: int = 500

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.detail = str(arguments[0]) if arguments else self.__class__.__name__

    def __str__(self) -> str:
        return self.detail


class RequestError(MadanSaraError):
    """The request is wrong; `errors` names each fault by its path from the root of the request."""

    def __init__(self, status: int, detail: str, errors: list[FieldError] | None = None) -> None:
        super().__init__(status, detail, errors)
        self.status = status
        self.detail = detail
        self.errors: list[FieldError] = [(path, message) for path, message in errors or []]


class UnknownCampaign(MadanSaraError):  # noqa: N818
    """No campaign has this id."""

    status = 404

    def __init__(self, campaign_id: str) -> None:
        super().__init__(campaign_id)
        self.campaign_id = campaign_id
        self.detail = f"There is no campaign {campaign_id!r}."


class Conflict(MadanSaraError):  # noqa: N818
    """The request contradicts what already is."""

    status = 409

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


class Overloaded(MadanSaraError):  # noqa: N818
    """A bounded queue is full; trying again after `retry_after_s` seconds may work."""

    status = 429

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail, retry_after_s)
        self.retry_after_s = retry_after_s


class ShardUnavailable(MadanSaraError):  # noqa: N818
    """A shard, or the ledger it needs, does not answer; try again after `retry_after_s` seconds."""

    status = 503

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail, retry_after_s)
        self.retry_after_s = retry_after_s


class ConfigurationError(MadanSaraError):
    """The configuration stops the start: the key, and what it takes."""

    def __init__(self, key: str, takes: str) -> None:
        super().__init__(key, takes)
        self.key = key
        self.takes = takes
        self.detail = f"{key}: {takes}"


class StateFault(MadanSaraError):  # noqa: N818
    """A state file cannot be used as it is: the file, the row where there is one, what is wrong, what to do."""

    status = 503

    def __init__(self, file: str, row: str | None, what: str, remedy: str) -> None:
        super().__init__(file, row, what, remedy)
        self.file = file
        self.row = row
        self.what = what
        self.remedy = remedy
        self.detail = f"{file}, {row}: {what}. {remedy}" if row else f"{file}: {what}. {remedy}"


class WriteFailed(MadanSaraError):  # noqa: N818
    """A commit did not become durable, or nobody knows whether it did: memory is ahead of the disk."""

    status = 503

    def __init__(self, file: str, what: str) -> None:
        super().__init__(file, what)
        self.file = file
        self.what = what
        self.detail = f"{file}: {what}"


class Fenced(WriteFailed):
    """A later life writes this file: this one must not answer anything any more."""
