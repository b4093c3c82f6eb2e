"""Signatures of webhooks, going out and coming in.

The rule: what is verified are the bytes as they came, and whoever cannot prove a secret learns nothing by it. Secrets
are compared in a time that tells nothing of them, a signature has one spelling, and a time that is signed is near now.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from engine.errors import ConfigurationError, RequestError

__all__ = [
    "SENDGRID_SIGNATURE_HEADER",
    "SENDGRID_TIMESTAMP_HEADER",
    "SIGNATURE_HEADER",
    "TIMESTAMP_HEADER",
    "TWILIO_SETTINGS_HEADER",
    "TWILIO_SIGNATURE_HEADER",
    "WINDOW_S",
    "check_own",
    "check_sendgrid",
    "check_twilio",
    "sendgrid_key",
    "sign",
]

SIGNATURE_HEADER = "X-Madan-Sara-Signature"
TIMESTAMP_HEADER = "X-Madan-Sara-Timestamp"
SENDGRID_SIGNATURE_HEADER = "X-Twilio-Email-Event-Webhook-Signature"
SENDGRID_TIMESTAMP_HEADER = "X-Twilio-Email-Event-Webhook-Timestamp"
TWILIO_SIGNATURE_HEADER = "X-Twilio-Signature"
TWILIO_SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"

WINDOW_S = 300
"""How far a signed time may lie from now, either way, this included."""

_TIMESTAMP = re.compile("[0-9]{1,15}")
_TWILIO_HASHES = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_PORTS = {"http": 80, "https": 443}


def sign(secret: bytes, timestamp: str, body: bytes) -> str:
    """The signature of our own webhooks: `v1=` and, in hexadecimal, HMAC-SHA256 of timestamp, a point and the body."""
    return "v1=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def check_own(secret: bytes, signature: str | None, timestamp: str | None, body: bytes, now: int) -> None:
    """Checks a webhook that was signed as ours are. Raises `RequestError` (401)."""
    given, time = _given(signature, SIGNATURE_HEADER), _given(timestamp, TIMESTAMP_HEADER)
    _check_time(time, TIMESTAMP_HEADER, now)
    if not _equal(given, sign(secret, time, body)):
        raise _wrong(SIGNATURE_HEADER, "webhook.secret")


@functools.lru_cache(maxsize=4)
def sendgrid_key(text: str) -> ec.EllipticCurvePublicKey:
    """The public key of SendGrid's signed events, as SendGrid shows it: base64 of its DER.

    Raises `ConfigurationError`.
    """
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigurationError("sendgrid.webhook_public_key", "takes the base64 of an ECDSA P-256 public key's DER")
    return key


def check_sendgrid(
    key: ec.EllipticCurvePublicKey, signature: str | None, timestamp: str | None, body: bytes, now: int
) -> None:
    """Checks events of SendGrid's: ECDSA P-256 with SHA-256 over timestamp and body. Raises `RequestError` (401)."""
    given, time = _given(signature, SENDGRID_SIGNATURE_HEADER), _given(timestamp, SENDGRID_TIMESTAMP_HEADER)
    _check_time(time, SENDGRID_TIMESTAMP_HEADER, now)
    try:
        der = base64.b64decode(given, validate=True)
        if base64.b64encode(der) != given.encode():  # the last character has bits that say nothing
            raise InvalidSignature
        key.verify(der, time.encode() + body, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        raise _wrong(SENDGRID_SIGNATURE_HEADER, "sendgrid.webhook_public_key") from None


def check_twilio(
    secret: bytes, signature: str | None, settings: str | None, url: str, form: Sequence[tuple[str, str]]
) -> None:
    """Checks a form of Twilio's: base64 of an HMAC over its URL and its fields. Raises `RequestError` (401).

    `url` is the one that Twilio was given, query included; it may have signed it with or without the port. SHA-1 unless
    `settings`, a header that Twilio adds for it, names SHA-256. What Twilio signs has no time and no mark between the
    names of fields and their values, so only what the values mean can be relied on, and an event is taken once.
    """
    given = _given(signature, TWILIO_SIGNATURE_HEADER)
    algorithm = _algorithm(settings or "")
    if algorithm not in _TWILIO_HASHES:
        raise RequestError(401, f"{TWILIO_SETTINGS_HEADER} takes algorithm={' or '.join(_TWILIO_HASHES)}.")
    fields = "".join(name + value for name, value in sorted(set(form)))
    matches = [
        _equal(given, _hmac_base64(secret, spelling + fields, algorithm)) for spelling in _with_and_without_port(url)
    ]
    if not any(matches):
        raise _wrong(TWILIO_SIGNATURE_HEADER, "twilio.auth_token and delivery.public_url")


def _given(header: str | None, name: str) -> str:
    if not header or not header.isascii():
        raise RequestError(401, f"This needs the header {name}.")
    return header


def _check_time(timestamp: str, header: str, now: int) -> None:
    if not _TIMESTAMP.fullmatch(timestamp):
        raise RequestError(401, f"{header} takes whole seconds since 1970.")
    if abs(int(timestamp) - now) > WINDOW_S:
        raise RequestError(401, f"{header} is more than {WINDOW_S} seconds from the time here.")


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _wrong(header: str, key: str) -> RequestError:
    return RequestError(401, f"{header} is not the signature of this request under {key}.")


def _algorithm(settings: str) -> str:
    pairs = dict(part.strip().partition("=")[::2] for part in settings.split(","))
    return (pairs.get("algorithm") or "HMAC_SHA1").upper()


def _hmac_base64(secret: bytes, text: str, algorithm: str) -> str:
    return base64.b64encode(hmac.digest(secret, text.encode(), _TWILIO_HASHES[algorithm])).decode()


def _with_and_without_port(url: str) -> list[str]:
    parts = urlsplit(url)
    rest = url.partition("://")[2][len(parts.netloc) :]
    host = parts.netloc if parts.port is None else parts.netloc.rpartition(":")[0]
    port = parts.port or _PORTS[parts.scheme]
    return [f"{parts.scheme}://{host}{rest}", f"{parts.scheme}://{host}:{port}{rest}"]
