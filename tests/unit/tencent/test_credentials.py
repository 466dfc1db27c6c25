"""Credentials that the SDK's default chain finds are checked as those of a connection are."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_vod.emulator import Emulator
from airflow_vod.exceptions import VodAuthenticationError
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.settings import VodSettings


def refusal(vod: Emulator) -> VodAuthenticationError:
    """Call without a key in the settings; the error."""
    client = VodClient(VodSettings(endpoint=vod.endpoint))
    try:
        with pytest.raises(VodAuthenticationError) as raised:
            client.call("DescribeEventConfig")
    finally:
        client.close()
    assert "S3cret" not in f"{raised.value} {raised.value!r}"
    assert raised.value.__suppress_context__
    assert len(vod.calls) == 0
    return raised.value


@pytest.mark.parametrize(
    ("secret_id", "secret_key"),
    [
        ("AKIDs3cretS3cret\n", "key"),
        ("\u200bAKIDS3cret", "key"),
        ("AKID\nS3cret", "key"),
        ("AKID", "S3cret\u00e9"),
        ("AKID", "S3cret\n"),
        ("", ""),
    ],
)
def test_variables(vod_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, secret_id: str, secret_key: str) -> None:
    """A line break or an invisible character in a variable, as `echo` leaves it in a secret, is a refusal with the remedy."""
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", secret_id)
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", secret_key)
    monkeypatch.setattr("tencentcloud.common.credential.CVMRoleCredential.get_credential", lambda self: None)
    told = str(refusal(vod_emulator))
    assert "TENCENTCLOUD_SECRET_ID" in told or "of the default credential chain holds" in told


def test_the_credentials_file(vod_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same in the file of the command line."""
    (tmp_path / ".tencentcloud").mkdir()
    (tmp_path / ".tencentcloud" / "credentials").write_text(
        "[default]\nsecret_id = AKID\u200bS3cret\nsecret_key = key\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "The SecretId of the default credential chain holds" in str(refusal(vod_emulator))
