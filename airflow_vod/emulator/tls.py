"""A certificate for HTTPS, made anew by each emulator.

Invariant: the private key is never kept in a file longer than it takes to load it.
"""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

VALID = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate and its key, as PEM."""

    certificate: bytes
    key: bytes

    def context(self) -> ssl.SSLContext:
        """:return: a server's TLS context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:  # the library loads files only; the folder is this user's own
            file = Path(folder) / "both.pem"
            file.write_bytes(self.certificate + self.key)
            context.load_cert_chain(file)
        return context


def self_signed(host: str) -> Certificate:
    """Make a certificate for this machine.

    :param host: an address or a name that clients use, besides ``localhost`` and ``127.0.0.1``.
    :return: the certificate, valid for a year.
    :raises RuntimeError: when the package cryptography, which Airflow brings along, is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise RuntimeError("HTTPS needs the package cryptography: pip install cryptography") from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "VOD emulator")])
    now = datetime.now(UTC)
    addresses, names = {ipaddress.ip_address("127.0.0.1")}, {"localhost"}
    try:
        addresses.add(ipaddress.ip_address(host))
    except ValueError:
        names.add(host)
    subjects = [*map(x509.IPAddress, sorted(addresses, key=str)), *map(x509.DNSName, sorted(names))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(subjects), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return Certificate(
        certificate.public_bytes(encoding), key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    )
