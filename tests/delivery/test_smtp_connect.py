"""SMTP, as a connection is made: only the server of the configuration gets mail, in the way that it asks for."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from actors.adapters.adapter import Later
from tests.delivery.smtp_sink import STALL, TAKEN, Starts, delivery, served, told


class Authority:
    """Signs certificates for the tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tests")])
        certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.trust = ssl.create_default_context(cadata=certificate.public_bytes(serialization.Encoding.PEM).decode())

    def server(self, *names: x509.GeneralName) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(x509.Name([]), key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        path = self._folder / "server.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            self._name, subject, key, x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=1)
        )


LOOPBACK = x509.IPAddress(IPv4Address("127.0.0.1"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_tls_where_the_certificate_holds(authority: Authority, security: str) -> None:
    options = {"tls": authority.server(LOOPBACK), "tls_at_once": security == "tls"}
    async with served(options, trust=authority.trust, security=security) as (sink, smtp):
        for _ in range(3):
            assert await smtp.send(delivery(), Starts()) == TAKEN
        assert (len(sink.messages), sink.connections_made) == (3, 1)
        sink.act("reply", STALL)
        task = asyncio.create_task(smtp.send(delivery(), Starts()))
        await sink.stalled.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await sink.all_gone()


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("fault", ["name", "authority"])
async def test_tls_where_it_does_not(authority: Authority, security: str, fault: str) -> None:
    name = x509.DNSName("mail.example.com") if fault == "name" else LOOPBACK
    trust = authority.trust if fault == "name" else None
    options = {"tls": authority.server(name), "tls_at_once": security == "tls"}
    async with served(options, trust=trust, security=security) as (sink, smtp):
        start = Starts()
        outcome = await smtp.send(delivery(), start)
        assert isinstance(outcome, Later)
        assert "its certificate is refused" in told(outcome)
        assert start.calls == 0
        assert not any(command.startswith("MAIL") for command in sink.commands)


async def test_tls_that_the_server_does_not_have(authority: Authority) -> None:
    for security, detail in (("starttls", "offers no STARTTLS"), ("tls", "look at whether smtp.security goes with")):
        async with served(trust=authority.trust, security=security) as (sink, smtp):
            outcome = await smtp.send(delivery(), Starts())
            assert isinstance(outcome, Later)
            assert detail in told(outcome)
            assert sink.messages == []


@pytest.mark.parametrize(
    ("passwords", "detail"),
    [
        ({"ana": "right"}, None),
        ({"ana": "another"}, "535 to the login: look at smtp.username and smtp.password"),
        (None, "offers no login"),
    ],
)
async def test_logins(authority: Authority, passwords: dict[str, str] | None, detail: str | None) -> None:
    options = {"tls": authority.server(LOOPBACK), "passwords": passwords}
    login = {"security": "starttls", "username": "ana", "password": "right"}
    async with served(options, trust=authority.trust, **login) as (_, smtp):
        start = Starts()
        outcome = await smtp.send(delivery(), start)
        if detail is None:
            assert outcome == TAKEN
        else:
            assert isinstance(outcome, Later)
            assert detail in told(outcome)
            assert "right" not in told(outcome)
            assert start.calls == 0


async def test_a_login_that_is_missing_is_later(authority: Authority) -> None:
    options = {"tls": authority.server(LOOPBACK), "passwords": {"ana": "right"}}
    async with served(options, trust=authority.trust, security="starttls") as (_, smtp):
        outcome = await smtp.send(delivery(), Starts())
        assert isinstance(outcome, Later)
        assert "look at smtp.username" in told(outcome)


@pytest.mark.parametrize(
    ("name", "address", "said"),
    [
        ("mail.example.com", None, "mail.example.com"),
        ("web1", "192.0.2.7", "[192.0.2.7]"),
        ("web_1.exämple.com", None, "[127.0.0.1]"),
    ],
)
async def test_the_name_of_this_machine_is_one_that_servers_take(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str | None, said: str
) -> None:
    asked = []

    def resolve(_: str) -> str:
        if address is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return address

    monkeypatch.setattr(socket, "getfqdn", lambda: asked.append(1) or name)
    monkeypatch.setattr(socket, "gethostbyname", resolve)
    async with served(max_concurrent=3) as (sink, smtp):
        await asyncio.gather(*(smtp.send(delivery(), Starts()) for _ in range(3)))
        assert [command for command in sink.commands if command.startswith("EHLO")] == [f"EHLO {said}"] * 3
    assert len(asked) == 1
