"""Signatures: known answers hold, and with any bit of them turned nothing does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.errors import ConfigurationError, RequestError
from engine.signature import WINDOW_S, check_own, check_sendgrid, check_twilio, sendgrid_key, sign

VECTORS = Path(__file__).parents[3] / "shared" / "specs" / "webhook-signature-vectors.json"
NOW = 1_700_000_000
SECRET = b"a secret of two"

OWN_BODY = b'{"events": []}'
OWN_SIGNATURE = "v1=2f6d8837b42ba23c05b02a99465c4013f0d7af1ee3fc371a9186e4921f8d395a"

SENDGRID_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeMViOJ3xmtnW7UIxL/kWF/XyQ1Seo3cMja5zHn5Aw7cJ"
    "y/MnWcXLeC5TApUoyBQL+feX2fEn7g2/uM9YF9cV5w=="
)
SENDGRID_BODY = b'[{"event": "delivered", "sg_event_id": "1", "message_id": "m-1"}]'
SENDGRID_SIGNATURE = "MEUCIGRKDtAmCp0u6lqbEF5p+kWepDe8QrcLxDTuVFUfYMD8AiEAgcXsnf8RxidMZQYZVlHnZ3KAYnkDID8KaSaWm+g+Ofc="

TWILIO_URL = "https://out.example/api/v1/outreach/webhooks/twilio?message_id=m-1"
TWILIO_FORM = [("To", "+15550001"), ("MessageStatus", "delivered"), ("MessageSid", "SM1"), ("Body", "ü & ö")]


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    if not VECTORS.exists():
        pytest.skip("the vectors are not beside this repository")
    return dict(json.loads(VECTORS.read_text("utf-8")))


def refused(check: Callable[..., None], *arguments: Any) -> bool:
    """Whether it is refused, as everything that is wrong here should be."""
    try:
        check(*arguments)
    except RequestError as error:
        return error.status == 401
    return False


def flipped(data: bytes) -> list[bytes]:
    """Each bit turned, one at a time."""
    return [
        data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
        for place in range(len(data))
        for bit in range(8)
    ]


def flipped_text(text: str) -> list[str]:
    return [other.decode("latin-1") for other in flipped(text.encode())]


def twilio_signature(algorithm: str = "sha1", url: str = TWILIO_URL, secret: bytes = SECRET) -> str:
    """By the words of the specification."""
    text = url + "".join(name + value for name, value in sorted(TWILIO_FORM))
    return base64.b64encode(hmac.new(secret, text.encode(), algorithm).digest()).decode()


# ---- known answers ----------------------------------------------------------------------------------------


def test_sendgrids_published_vector(vectors: dict[str, Any]) -> None:
    vector = vectors["sendgrid_event_webhook"]
    key, now = sendgrid_key(vector["public_key_der_b64"]), int(vector["timestamp"])
    body, signature = vector["body"].encode(), vector["signature_b64"]
    check_sendgrid(key, signature, vector["timestamp"], body, now)
    assert refused(check_sendgrid, key, signature, vector["timestamp"], body + b"\n", now)
    assert refused(check_sendgrid, sendgrid_key(SENDGRID_KEY), signature, vector["timestamp"], body, now)


def test_twilios_published_vector(vectors: dict[str, Any]) -> None:
    vector = vectors["twilio"]
    form = list(vector["params"].items())
    check_twilio(vector["auth_token"].encode(), vector["signature"], None, vector["url"], form)
    assert refused(check_twilio, b"54321", vector["signature"], None, vector["url"], form)
    assert refused(check_twilio, vector["auth_token"].encode(), vector["signature"], None, vector["url"], form[1:])


def test_known_answers_of_a_key_of_ours() -> None:
    check_sendgrid(sendgrid_key(SENDGRID_KEY), SENDGRID_SIGNATURE, str(NOW), SENDGRID_BODY, NOW)
    assert sign(SECRET, str(NOW), OWN_BODY) == OWN_SIGNATURE
    check_own(SECRET, OWN_SIGNATURE, str(NOW), OWN_BODY, NOW)


def test_our_signature_is_what_the_documentation_says() -> None:
    expected = hmac.new(SECRET, f"{NOW}.".encode() + OWN_BODY, hashlib.sha256).hexdigest()
    assert sign(SECRET, str(NOW), OWN_BODY) == f"v1={expected}"


# ---- one bit ----------------------------------------------------------------------------------------------


def test_no_bit_of_a_webhook_of_ours_may_turn() -> None:
    signature, time = OWN_SIGNATURE, str(NOW)
    assert all(refused(check_own, SECRET, signature, time, other, NOW) for other in flipped(OWN_BODY))
    assert all(refused(check_own, SECRET, other, time, OWN_BODY, NOW) for other in flipped_text(signature))
    assert all(refused(check_own, SECRET, signature, other, OWN_BODY, NOW) for other in flipped_text(time))
    assert all(refused(check_own, other, signature, time, OWN_BODY, NOW) for other in flipped(SECRET))


def test_no_bit_of_sendgrids_events_may_turn() -> None:
    key, signature, time, body = sendgrid_key(SENDGRID_KEY), SENDGRID_SIGNATURE, str(NOW), SENDGRID_BODY
    assert all(refused(check_sendgrid, key, signature, time, other, NOW) for other in flipped(body))
    assert all(refused(check_sendgrid, key, other, time, body, NOW) for other in flipped_text(signature))
    assert all(refused(check_sendgrid, key, signature, other, body, NOW) for other in flipped_text(time))
    raw = base64.b64decode(signature)
    turned = [base64.b64encode(other).decode() for other in flipped(raw)]
    assert all(refused(check_sendgrid, key, other, time, body, NOW) for other in turned)


@pytest.mark.parametrize(("algorithm", "settings"), [("sha1", None), ("sha256", "key=SK1,algorithm=HMAC_SHA256")])
def test_no_bit_of_twilios_form_may_turn(algorithm: str, settings: str | None) -> None:
    signature, body = twilio_signature(algorithm), urlencode(TWILIO_FORM).encode()
    check_twilio(SECRET, signature, settings, TWILIO_URL, TWILIO_FORM)
    changed = 0
    for other in flipped(body):
        try:
            form = parse_qsl(other.decode(), keep_blank_values=True, errors="strict")
        except ValueError:
            continue
        if sorted(form) != sorted(TWILIO_FORM):  # %c3 is %C3, and says the same
            changed += 1
            assert refused(check_twilio, SECRET, signature, settings, TWILIO_URL, form)
    assert changed > 4 * len(body)
    for text in flipped_text(signature):
        assert refused(check_twilio, SECRET, text, settings, TWILIO_URL, TWILIO_FORM)
    host, path = TWILIO_URL[: len("https://out.example/")], TWILIO_URL[len("https://out.example/") :]
    for text in flipped_text(path):
        assert refused(check_twilio, SECRET, signature, settings, host + text, TWILIO_FORM)


# ---- what else may be wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("distance_s", [-WINDOW_S, WINDOW_S])
def test_a_time_is_taken_up_to_five_minutes_away(distance_s: int) -> None:
    assert WINDOW_S == 300
    key, now = sendgrid_key(SENDGRID_KEY), NOW + distance_s
    check_own(SECRET, OWN_SIGNATURE, str(NOW), OWN_BODY, now)
    check_sendgrid(key, SENDGRID_SIGNATURE, str(NOW), SENDGRID_BODY, now)
    beyond = now + (1 if distance_s > 0 else -1)
    assert refused(check_own, SECRET, OWN_SIGNATURE, str(NOW), OWN_BODY, beyond)
    assert refused(check_sendgrid, key, SENDGRID_SIGNATURE, str(NOW), SENDGRID_BODY, beyond)


@pytest.mark.parametrize(
    "time", [None, "", "now", "-1", "+1700000000", "1700000000.0", " 1700000000", "1" * 5000, "١٢"]
)
def test_a_time_that_is_none_is_refused(time: str | None) -> None:
    signature = sign(SECRET, time or "", OWN_BODY)
    assert refused(check_own, SECRET, signature, time, OWN_BODY, NOW)
    assert refused(check_sendgrid, sendgrid_key(SENDGRID_KEY), SENDGRID_SIGNATURE, time, SENDGRID_BODY, NOW)


@pytest.mark.parametrize("signature", [None, "", "v1=", "v0=00", "====", "AAAA", "ä", "\n", "A" * 100_000])
def test_a_signature_that_is_none_is_refused(signature: str | None) -> None:
    assert refused(check_own, SECRET, signature, str(NOW), OWN_BODY, NOW)
    assert refused(check_sendgrid, sendgrid_key(SENDGRID_KEY), signature, str(NOW), SENDGRID_BODY, NOW)
    assert refused(check_twilio, SECRET, signature, None, TWILIO_URL, TWILIO_FORM)


def test_sendgrids_events_are_signed_by_its_key_and_no_other() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signature = base64.b64encode(private.sign(str(NOW).encode() + SENDGRID_BODY, ec.ECDSA(SHA256()))).decode()
    check_sendgrid(sendgrid_key(base64.b64encode(der).decode()), signature, str(NOW), SENDGRID_BODY, NOW)
    assert refused(check_sendgrid, sendgrid_key(SENDGRID_KEY), signature, str(NOW), SENDGRID_BODY, NOW)


def test_a_signature_has_one_spelling() -> None:
    """The last character before the padding has two bits that say nothing."""
    body = SENDGRID_SIGNATURE[:-2]
    other = body + "d="
    assert body + "c=" == SENDGRID_SIGNATURE
    assert base64.b64decode(other) == base64.b64decode(SENDGRID_SIGNATURE)
    for text in (other, body + "c", SENDGRID_SIGNATURE + "\n", SENDGRID_SIGNATURE + "="):
        assert refused(check_sendgrid, sendgrid_key(SENDGRID_KEY), text, str(NOW), SENDGRID_BODY, NOW)


def test_a_key_of_sendgrids_that_is_none_stops_the_start() -> None:
    other_curve = ec.generate_private_key(ec.SECP384R1()).public_key()
    wrong = base64.b64encode(other_curve.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    pem = "-----BEGIN PUBLIC KEY-----\n" + SENDGRID_KEY
    for text in ("x", "AAAA", SENDGRID_KEY[:-8], SENDGRID_KEY + "\n", pem, "ä", wrong):
        with pytest.raises(ConfigurationError, match=r"^sendgrid\.webhook_public_key: takes"):
            sendgrid_key(text)


@pytest.mark.parametrize("port", ["", ":443", ":8443"])
def test_twilio_may_sign_its_url_with_a_port_or_without(port: str) -> None:
    plain, given = TWILIO_URL, TWILIO_URL.replace("out.example", f"out.example{port}")
    check_twilio(SECRET, twilio_signature(url=plain), None, given, TWILIO_FORM)
    with_port = TWILIO_URL.replace("out.example", f"out.example{port or ':443'}")
    check_twilio(SECRET, twilio_signature(url=with_port), None, given, TWILIO_FORM)
    elsewhere = TWILIO_URL.replace("out.example", "out.example:9999")
    assert refused(check_twilio, SECRET, twilio_signature(url=elsewhere), None, given, TWILIO_FORM)


@pytest.mark.parametrize("settings", ["algorithm=HMAC_MD5", "key=SK1,algorithm=SHA1", "algorithm=none"])
def test_twilio_signs_by_an_algorithm_that_is_known(settings: str) -> None:
    for algorithm in ("sha1", "sha256", "md5"):
        signature = twilio_signature(algorithm)
        assert refused(check_twilio, SECRET, signature, settings, TWILIO_URL, TWILIO_FORM)


def test_twilio_signs_by_the_algorithm_that_it_names() -> None:
    sha1, sha256 = twilio_signature("sha1"), twilio_signature("sha256")
    check_twilio(SECRET, sha256, " algorithm=HMAC_SHA256 , key=SK1", TWILIO_URL, TWILIO_FORM)
    for names_none in ("key=SK1,algorithm=HMAC_SHA1", "algorithm=hmac_sha1", "key=SK1", "algorithm=", ""):
        check_twilio(SECRET, sha1, names_none, TWILIO_URL, TWILIO_FORM)
    assert refused(check_twilio, SECRET, sha1, "key=SK1,algorithm=HMAC_SHA256", TWILIO_URL, TWILIO_FORM)
    assert refused(check_twilio, SECRET, sha256, None, TWILIO_URL, TWILIO_FORM)


def test_a_refusal_says_what_to_look_at_and_nothing_secret() -> None:
    with pytest.raises(RequestError) as refusal:
        check_own(SECRET, OWN_SIGNATURE[:-1] + "0", str(NOW), OWN_BODY + b" ", NOW)
    assert "webhook.secret" in refusal.value.detail
    assert OWN_SIGNATURE[3:-1] not in refusal.value.detail
