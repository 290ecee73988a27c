"""The certificates of one cluster: a CA, the API server's certificate, client certificates, the token key.

`write_certificates` makes all files of a folder; elliptic curve keys, because they take a millisecond each.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CLIENTS: Final = ("admin", "controller-manager", "scheduler", "node-agent", "prometheus")
"""Who gets a client certificate: all of them in system:masters, told apart in the audit log by their name."""
LIFETIME: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def write_certificates(folder: Path, hosts: Sequence[str]) -> None:
    """Write ca.crt, apiserver.{crt,key}, <client>.{crt,key} and service-accounts.{key,pub} (PEM) to a folder.

    `hosts` are the names and IP addresses under which clients reach the API server.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority = _authority()
    (folder / "ca.crt").write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
    _issue(folder, "apiserver", authority, _name("kube-apiserver"), (names, ExtendedKeyUsageOID.SERVER_AUTH))
    for client in CLIENTS:
        subject = _name(f"devcluster:{client}", "system:masters")
        _issue(folder, client, authority, subject, (None, ExtendedKeyUsageOID.CLIENT_AUTH))
    key = ec.generate_private_key(ec.SECP256R1())
    _write_key(folder / "service-accounts.key", key)
    (folder / "service-accounts.pub").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def _authority() -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("devcluster-ca")
    builder = _builder(name, name, key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.add_extension(usage, critical=True).add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    return _Authority(builder.sign(key, hashes.SHA256()), key)


def _issue(
    folder: Path,
    name: str,
    authority: _Authority,
    subject: x509.Name,
    uses: tuple[x509.SubjectAlternativeName | None, x509.ObjectIdentifier],
) -> None:
    names, purpose = uses
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(subject, authority.certificate.subject, key)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(folder / f"{name}.key", key)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # a client whose clock is a little behind still accepts it
        .not_valid_after(now + LIFETIME)
    )


def _name(common: str, organisation: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organisation is not None:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(attributes)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
