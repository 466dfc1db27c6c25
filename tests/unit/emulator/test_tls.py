"""HTTPS with a self-signed certificate."""

from __future__ import annotations

import json
import ssl
import urllib.request
from pathlib import Path

import pytest
from tencentcloud.common import credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.vod.v20180717 import models, vod_client

from airflow_vod.emulator import Emulator, EmulatorOptions


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Where the certificate is."""
    return tmp_path / "emulator.pem"


def test_who_trusts_the_certificate_is_served(certificate: Path):
    """The official SDK speaks HTTPS with the emulator, by address and by name."""
    with Emulator(tls=True, options=EmulatorOptions(hold=0)) as vod:
        certificate.write_bytes(vod.certificate or b"")
        assert vod.endpoint == f"https://127.0.0.1:{vod.port}"
        for host in ("127.0.0.1", "localhost"):
            http = HttpProfile(endpoint=f"{host}:{vod.port}", certification=str(certificate))
            keys = credential.Credential(vod.secret_id, vod.secret_key)
            client = vod_client.VodClient(keys, "", ClientProfile(httpProfile=http))
            assert client.DescribeEventsState(models.DescribeEventsStateRequest()).CountOfEventsToPull == 0
        assert json.loads(vod.airflow_connection(7, certificate))["extra"] == {
            "sub_app_id": 7,
            "verify": str(certificate),
        }


def test_who_does_not_trust_it_is_not():
    """A client with the usual authorities refuses the certificate, and nothing is served."""
    with Emulator(tls=True) as vod:
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(vod.endpoint, timeout=5, context=ssl.create_default_context())
        assert vod.calls.count() == 0


def test_the_certificate_outlives_an_outage(certificate: Path):
    """After a stop and a start, the same certificate is served; another emulator has its own."""
    with Emulator(tls=True) as vod:
        first = vod.certificate
        assert ssl.get_server_certificate(("127.0.0.1", vod.port)).strip() == (first or b"").decode().strip()
        vod.stop()
        vod.start()
        assert ssl.get_server_certificate(("127.0.0.1", vod.port)).strip() == (first or b"").decode().strip()
    assert Emulator(tls=True).certificate != first
    assert Emulator().certificate is None
