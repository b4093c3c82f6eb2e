"""Media types: what a request brings, and what its answer is to be."""

from __future__ import annotations

from api.context import AnyRequest

__all__ = ["ARROW", "JSON", "answers_arrow", "brings_arrow"]

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"

_RANGES = {ARROW: (ARROW, "application/*", "*/*"), JSON: (JSON, "application/*", "*/*")}


def brings_arrow(request: AnyRequest) -> bool:
    """Whether the body says it is an Arrow stream."""
    given: str = request.headers.get("content-type", "")
    return given.partition(";")[0].strip().lower() == ARROW


def answers_arrow(request: AnyRequest) -> bool:
    """Whether `Accept` prefers Arrow to JSON; without a preference the answer is what the request was."""
    weights = _weights(",".join(request.headers.getall("accept", [])))
    if not weights:
        return brings_arrow(request)
    arrow, json = (_weight(weights, media_type) for media_type in (ARROW, JSON))
    return brings_arrow(request) if arrow == json > 0 else arrow > json


def _weight(weights: dict[str, float], media_type: str) -> float:
    """That of the narrowest range that holds the type; 0 where none does."""
    return next((weights[one] for one in _RANGES[media_type] if one in weights), 0)


def _weights(accept: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if media_range:
            weights[media_range] = max(weights.get(media_range, 0), _quality(parameters))
    return weights


def _quality(parameters: list[str]) -> float:
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name == "q":
            try:
                return min(max(float(value), 0), 1)
            except ValueError:
                return 0
    return 1
