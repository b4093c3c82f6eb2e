"""Configuration: the order of the sources, and that a wrong key stops the start with what it takes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from engine._core import CHANNELS
from engine.config import (
    best_hour_weights,
    channel_costs,
    channel_gaps,
    customer_type_table,
    default_settings,
    device_table,
    engagement_rates,
    factor_weights,
    half_life_s,
    load_settings,
    quiet_minutes,
    urgency_table,
)
from engine.delivery_config import without_credentials
from engine.errors import ConfigurationError
from engine.loopback import is_loopback
from engine.settings import Settings


def write(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text)
    return path


def test_later_sources_win(tmp_path: Path) -> None:
    path = write(tmp_path, 'port = 1\nclock = "manual"\nshards = 3\n[limits]\nbody_timeout_ms = 7')
    settings = load_settings(path, {"MADAN_SARA_PORT": "2", "MADAN_SARA_SHARDS": "4"}, {"port": 5, "shards": None})
    assert (settings.port, settings.shards, settings.clock) == (5, 4, "manual")
    assert settings.limits.body_timeout_ms == 7
    assert settings.limits.requests_in_flight_max == default_settings().limits.requests_in_flight_max


def test_environment_reaches_nested_keys_and_lists() -> None:
    settings = load_settings(
        environment={
            "MADAN_SARA_BEST_HOURS__NEW__EMAIL": "7, 8",
            "MADAN_SARA_COSTS__SMS": "1.5",
            "MADAN_SARA_WEIGHTS__DEVICE": "0.2",
            "MADAN_SARA_LONG": "1",
            "HOME": "/",
        }
    )
    assert settings.best_hours.new.email == (7, 8)
    assert channel_costs(settings)["sms"] == 1_500_000


def test_keys_are_kept_as_digests_only() -> None:
    settings = load_settings(environment={"MADAN_SARA_API_KEYS": "secret-one,secret-two"})
    assert settings.api_keys == tuple(hashlib.sha256(key).hexdigest() for key in (b"secret-one", b"secret-two"))
    assert "secret-" not in repr(settings)


@pytest.mark.parametrize("key", ["smtp.password", "sendgrid.api_key", "twilio.auth_token", "webhook.secret"])
def test_credentials_are_not_shown(key: str) -> None:
    variable = f"MADAN_SARA_{key.replace('.', '__').upper()}"
    settings = load_settings(environment={variable: "not-to-be-shown"})
    assert "not-to-be-shown" not in repr(settings)
    assert "not-to-be-shown" in msgspec.json.encode(settings).decode()
    assert "not-to-be-shown" not in msgspec.json.encode(without_credentials(settings)).decode()


@pytest.mark.parametrize(
    ("text", "key", "takes"),
    [
        ('port = "80"', "port", "a whole number from 0 to 65535"),
        ("port = 65536", "port", "a whole number from 0 to 65535"),
        ('clock = "wall"', "clock", '"manual"'),
        ("colour = 1", "colour", "no such key"),
        ("limits = 1", "limits", "a table"),
        ("[limits]\nbody = 1", "limits.body", "no such key"),
        ("[limits]\nbytes_in_flight_max = 2048", "limits.bytes_in_flight_max", "limits.body_bytes_max"),
        ("[weights]\nurgency = 0.2", "weights", "sum is 1"),
        ("[engagement]\nprior_deliveries = nan", "engagement.prior_deliveries", "above 0"),
        ("[engagement]\nprior_deliveries = inf", "engagement.prior_deliveries", "above 0"),
        ("[engagement]\nhalf_life_days = 0", "engagement.half_life_days", "a number from 0.01 to 36500"),
        ("[engagement.rate]\nsms = 0", "engagement.rate.sms", "above 0 up to 1"),
        ("[best_hours]\nprior_deliveries = 0", "best_hours.prior_deliveries", "above 0"),
        ("[device.mobile]\nsms = 1.5", "device.mobile.sms", "a number from 0 to 1"),
        ("[best_hours.new]\nemail = [24]", "best_hours.new.email", "from 0 to 23"),
        ("[min_gap_hours]\nemail = -1", "min_gap_hours.email", "from 0 to 168"),
        ('[quiet_hours]\nstart = "8:00"', "quiet_hours.start", '"23:59"'),
        ('[quiet_hours]\nend = "08:00\\n"', "quiet_hours.end", '"23:59"'),
        ('[costs]\nemail = "-1"', "costs.email", "decimal string"),
        ('[costs]\nemail = "1\\n"', "costs.email", "decimal string"),
        ("[costs]\nemail = 0.1", "costs.email", "decimal string"),
        ('api_keys = ["with space"]', "api_keys", "visible ASCII"),
        ('host = "0.0.0.0"', "host", "loopback"),
        ('[smtp]\nhost = "mail.example"\nusername = "ana"\nsecurity = "none"', "smtp.security", "starttls or tls"),
        ("port =", "--config", "TOML"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, text: str, key: str, takes: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(write(tmp_path, text), {})
    assert raised.value.key.startswith(key)
    assert takes in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("MADAN_SARA_PORT", "eighty", "a whole number"),
        ("MADAN_SARA_PROT", "80", "no such key"),
        ("MADAN_SARA_LIMITS", "80", "no such key"),
        ("MADAN_SARA_PORT__X", "80", "no such key"),
        ("MADAN_SARA_WEIGHTS__DEVICE", "much", "a number from 0 to 1"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str, takes: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(environment={name: value})
    assert raised.value.key == name
    assert takes in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--config: takes a readable TOML file"):
        load_settings(tmp_path / "none.toml", {})


def test_a_key_opens_other_addresses() -> None:
    assert load_settings(environment={"MADAN_SARA_HOST": "0.0.0.0", "MADAN_SARA_API_KEYS": "k"}).host == "0.0.0.0"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("", False),
        ("0.0.0.0", False),
    ],
)
def test_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_tables_are_arrays_of_the_declared_shape() -> None:
    settings = default_settings()
    assert np.isclose(factor_weights(settings).sum(), 1.0)
    for table, rows in ((customer_type_table, 2), (device_table, 4), (urgency_table, 3)):
        values = table(settings)
        assert values.shape == (rows, len(CHANNELS))
        assert ((values >= 0) & (values <= 1)).all()
    assert engagement_rates(settings).shape == (7,)
    assert half_life_s(settings) == 90 * 86_400
    assert (channel_gaps(settings) == 4 * 3600).all()
    assert quiet_minutes(settings) == (21 * 60, 8 * 60)


def test_best_hours_are_the_contracts() -> None:
    weights = best_hour_weights(default_settings())
    assert weights.shape == (7, 2, 24)
    best = {
        (channel, row): set(np.flatnonzero(weights[index, row] == 1.0).tolist())
        for index, channel in enumerate(CHANNELS)
        for row in (0, 1)
    }
    for row in (0, 1):
        assert best["email", row] == {9}
        assert best["sms", row] == {12}
        assert best["instagram", row] == best["facebook", row] == {19}
        assert best["linkedin", row] == {10}
        assert best["twitter", row] == {12, 13, 14, 15, 16}
    assert (best["whatsapp", 0], best["whatsapp", 1]) == ({18}, {10})


def test_settings_survive_the_wire() -> None:
    settings = default_settings()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(settings), type=Settings) == settings
