"""Configuration: defaults.toml, then a TOML file, then `MADAN_SARA_*`, then what the command line says.

Whatever is wrong stops the start with the key and what it takes. No value is quoted back: it may be a key.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from engine._core import CHANNELS, CUSTOMER_TYPES, DEVICES, URGENCIES
from engine.delivery_config import check_delivery
from engine.errors import ConfigurationError
from engine.loopback import is_loopback
from engine.money import AMOUNT_PATTERN, AMOUNT_TAKES, parse_amount
from engine.settings import MINUTE_PATTERN, Settings

__all__ = [
    "Settings",
    "best_hour_weights",
    "channel_costs",
    "channel_gaps",
    "customer_type_table",
    "default_settings",
    "device_table",
    "engagement_rates",
    "factor_weights",
    "half_life_s",
    "load_settings",
    "quiet_minutes",
    "urgency_table",
]

ENVIRONMENT_PREFIX = "MADAN_SARA_"
ENVIRONMENT_OF_TESTS = frozenset({"MADAN_SARA_LONG"})
NO_SUCH_KEY = "there is no such key; engine/defaults.toml lists every one"
DEFAULTS_PATH = Path(__file__).with_name("defaults.toml")

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


def load_settings(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, object] | None = None,
) -> Settings:
    """The settings from the defaults, the TOML file `path`, the environment and `options`, the later winning.

    Raises `ConfigurationError` naming the key and what it takes.
    """
    values = _read_toml(DEFAULTS_PATH)
    if path is not None:
        _merge(values, _read_toml(path))
    _merge(values, _from_environment(os.environ if environment is None else environment))
    _merge(values, {name: value for name, value in (options or {}).items() if value is not None})
    return _checked(_convert(values))


@functools.cache
def default_settings() -> Settings:
    """What defaults.toml says, untouched by files and environment."""
    return load_settings(environment={})


def factor_weights(settings: Settings) -> Float64:
    """float64[5]: customer type, engagement, device, urgency, time of day."""
    return np.array(msgspec.structs.astuple(settings.weights), dtype=np.float64)


def customer_type_table(settings: Settings) -> Float64:
    """float64[2, 7]: by customer type and channel, in [0, 1]."""
    return _rows(settings.customer_type, CUSTOMER_TYPES)


def device_table(settings: Settings) -> Float64:
    """float64[4, 7]: by device and channel, in [0, 1]."""
    return _rows(settings.device, DEVICES)


def urgency_table(settings: Settings) -> Float64:
    """float64[3, 7]: by urgency and channel, in [0, 1]."""
    return _rows(settings.urgency, URGENCIES)


def engagement_rates(settings: Settings) -> Float64:
    """float64[7]: the share of delivered messages answered, by channel, before anything is learned."""
    return _row(settings.engagement.rate)


def half_life_s(settings: Settings) -> float:
    """Seconds after which a message counts half."""
    return settings.engagement.half_life_days * 86_400


def best_hour_weights(settings: Settings) -> Float64:
    """float64[7, 2, 24]: by channel, customer type and local hour, in (0, 1], before anything is learned."""
    table = settings.best_hours
    weights = np.full((len(CHANNELS), len(CUSTOMER_TYPES), 24), table.weight_elsewhere, dtype=np.float64)
    for row, customer_type in enumerate(CUSTOMER_TYPES):
        for channel, name in enumerate(CHANNELS):
            weights[channel, row, list(getattr(getattr(table, customer_type), name))] = 1.0
    return weights


def channel_gaps(settings: Settings) -> Int64:
    """int64[7]: seconds between two messages to one recipient, by channel."""
    return np.rint(_row(settings.min_gap_hours) * 3600).astype(np.int64)


def channel_costs(settings: Settings) -> dict[str, int]:
    """Micro-units of one attempt by channel name, where a campaign names none."""
    return {name: parse_amount(getattr(settings.costs, name)) for name in CHANNELS}


def quiet_minutes(settings: Settings) -> tuple[int, int]:
    """The default quiet hours as minutes of the local day, half-open."""
    start, end = settings.quiet_hours.start, settings.quiet_hours.end
    return int(start[:2]) * 60 + int(start[3:]), int(end[:2]) * 60 + int(end[3:])


def _row(table: Struct) -> Float64:
    return np.array([getattr(table, name) for name in CHANNELS], dtype=np.float64)


def _rows(table: Struct, names: tuple[str, ...]) -> Float64:
    return np.stack([_row(getattr(table, name)) for name in names])


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError("--config", f"takes a readable TOML file; {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError("--config", f"takes a TOML file; {path}: {error}") from None


def _merge(values: dict[str, Any], other: Mapping[str, Any]) -> None:
    for name, value in other.items():
        kept = values.get(name)
        if isinstance(kept, dict) and isinstance(value, dict):
            _merge(kept, value)
        else:
            values[name] = value


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """The variables as the nested tables a file would hold, each value read as its key's type."""
    values: dict[str, Any] = {}
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in ENVIRONMENT_OF_TESTS:
            continue
        keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        field = _field_type(keys)
        if field is None:
            raise ConfigurationError(name, NO_SUCH_KEY)
        table = values
        for key in keys[:-1]:
            table = table.setdefault(key, {})
        table[keys[-1]] = _from_text(environment[name], field, name)
    return values


def _from_text(text: str, field: msgspec.inspect.Type, name: str) -> object:
    match field:
        case msgspec.inspect.VarTupleType(item_type=item):
            parts = [part.strip() for part in text.split(",")]
            return [_from_text(part, item, name) for part in parts if part]
        case msgspec.inspect.BoolType():
            if text not in ("true", "false"):
                raise ConfigurationError(name, f"takes {_describe(field)}")
            return text == "true"
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            try:
                return int(text) if isinstance(field, msgspec.inspect.IntType) else float(text)
            except ValueError:
                raise ConfigurationError(name, f"takes {_describe(field)}") from None
        case _:
            return text


def _field_type(keys: list[str]) -> msgspec.inspect.Type | None:
    """The type of the value at `keys`; None for a table and for what is not there."""
    kind: msgspec.inspect.Type = msgspec.inspect.type_info(Settings)
    for key in keys:
        if not isinstance(kind, msgspec.inspect.StructType):
            return None
        kinds = {field.name: field.type for field in kind.fields}
        if key not in kinds:
            return None
        kind = kinds[key]
    return None if isinstance(kind, msgspec.inspect.StructType) else kind


_FAULT = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)


def _convert(values: dict[str, Any]) -> Settings:
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        fault = _FAULT.fullmatch(str(error))
        assert fault is not None
        path = fault["path"] or ""
        if field := _UNKNOWN_FIELD.fullmatch(fault["what"]):
            key = f"{path}.{field['name']}" if path else field["name"]
            raise ConfigurationError(key, NO_SUCH_KEY) from None
        kind = _field_type(re.sub(r"\[.*", "", path).split("."))
        raise ConfigurationError(path, f"takes {_describe(kind) if kind else 'a table'}") from None


_TAKES_OF_PATTERN = {
    AMOUNT_PATTERN: AMOUNT_TAKES.removeprefix("takes "),
    MINUTE_PATTERN: 'a time of day from "00:00" to "23:59"',
}


def _describe(kind: msgspec.inspect.Type) -> str:
    match kind:
        case msgspec.inspect.IntType(ge=low, le=high):
            return f"a whole number {_span(low, high)}"
        case msgspec.inspect.FloatType(gt=above, ge=low, le=high):
            return f"a number {_span(low, high) if above is None else f'above {above} up to {high}'}"
        case msgspec.inspect.LiteralType(values=values):
            return " or ".join(f'"{value}"' for value in values)
        case msgspec.inspect.StrType(pattern=str(pattern)):
            return _TAKES_OF_PATTERN[pattern]
        case msgspec.inspect.VarTupleType(item_type=item):
            return f"a list, each {_describe(item)}"
        case _:
            return "true or false" if isinstance(kind, msgspec.inspect.BoolType) else "text"


def _span(low: float | None, high: float | None) -> str:
    return f"from {low} up" if high is None else f"from {low} to {high}"


def _checked(settings: Settings) -> Settings:
    """What no single key can tell, and the values that are kept in another form than they are given."""
    weights = msgspec.structs.astuple(settings.weights)
    if not math.isclose(sum(weights), 1.0, abs_tol=1e-9):
        raise ConfigurationError("weights", f"takes five numbers whose sum is 1; it is {sum(weights):g}")
    for name in CHANNELS:
        try:
            parse_amount(getattr(settings.costs, name))
        except ValueError:
            raise ConfigurationError(f"costs.{name}", AMOUNT_TAKES) from None
    if settings.limits.bytes_in_flight_max < settings.limits.body_bytes_max:
        raise ConfigurationError("limits.bytes_in_flight_max", "takes no less than limits.body_bytes_max")
    for key in settings.api_keys:
        if not re.fullmatch(r"[!-+\--~]+", key):
            raise ConfigurationError("api_keys", "takes keys of visible ASCII characters, no comma and no space")
    check_delivery(settings)
    if not settings.api_keys and not is_loopback(settings.host):
        raise ConfigurationError("host", "takes a loopback address such as 127.0.0.1 while api_keys is empty")
    return msgspec.structs.replace(
        settings,
        shards=settings.shards or len(os.sched_getaffinity(0)),
        api_keys=tuple(hashlib.sha256(key.encode()).hexdigest() for key in settings.api_keys),
    )
