"""Writing to storages of each kind: whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile

from airflow_vod.hooks.storage import BUFFER, writing


class Store(AbstractFileSystem):
    """An object storage with multipart uploads, as S3 has them: an object is there once its upload is completed."""

    protocol = "store"
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}
        self.parts: list[int] = []
        self.aborted = 0

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **kwargs: Any) -> AbstractBufferedFile:
        return Upload(self, path, mode, block_size=block_size)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        raise AssertionError("an object storage has no folders, and a bucket is not ours to make")


class Upload(AbstractBufferedFile):
    """One upload."""

    def _initiate_upload(self) -> None:
        self.sent: list[bytes] = []

    def _upload_chunk(self, final: bool = False) -> bool:
        self.sent.append(self.buffer.getvalue())
        self.fs.parts.append(len(self.sent[-1]))
        if final:
            self.fs.objects[self.path] = b"".join(self.sent)
        return True

    def discard(self) -> None:
        self.fs.aborted += 1


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """A new storage, under the scheme ``memory`` so that paths to it can be written."""
    from airflow.sdk.io import store as stores

    monkeypatch.setattr(stores, "_STORE_CACHE", {})
    store = Store()
    attach("memory", fs=store)
    return store


class BrokenOffError(Exception):
    """What ends a block early."""


def break_off(
    path: ObjectStoragePath,
    content: bytes,
    kind: type[BaseException] = BrokenOffError,
    seen_meanwhile: Callable[[], Any] = lambda: True,
) -> None:
    """Begin to write a file, and fail."""

    def fail(out: Any) -> None:
        out.write(content)
        assert seen_meanwhile()
        raise kind

    with pytest.raises(kind), writing(path) as out:
        fail(out)


def test_a_local_file(tmp_path: Path) -> None:
    """A file is at its place, in folders made for it, only when it is complete, and nothing else is."""
    path = ObjectStoragePath(f"file://{tmp_path}/a/b/f0.mp4")
    with writing(path, 5) as out:
        out.write(b"12345")
        assert not path.exists()
    assert (tmp_path / "a/b/f0.mp4").read_bytes() == b"12345"
    assert [each.name for each in (tmp_path / "a/b").iterdir()] == ["f0.mp4"]


@pytest.mark.parametrize("kind", [BrokenOffError, KeyboardInterrupt, SystemExit])
def test_a_local_file_that_fails(tmp_path: Path, kind: type[BaseException]) -> None:
    """After a failure of any kind an earlier file is still there, and nothing else."""
    (tmp_path / "f0.mp4").write_bytes(b"earlier")
    break_off(ObjectStoragePath(f"file://{tmp_path}/f0.mp4"), b"12345", kind)
    assert [each.name for each in tmp_path.iterdir()] == ["f0.mp4"]
    assert (tmp_path / "f0.mp4").read_bytes() == b"earlier"


def test_an_object(store: Store) -> None:
    """An object is uploaded in parts of a bounded size, and no folder or bucket is made."""
    with writing(ObjectStoragePath("memory://bucket/a/f0.mp4")) as out:
        for _ in range(20):
            out.write(b"x" * 1024 * 1024)
        assert store.objects == {}
    assert [len(content) for content in store.objects.values()] == [20 * 1024 * 1024]
    assert store.parts == [BUFFER, BUFFER, 4 * 1024 * 1024]
    assert store.aborted == 0


def test_an_object_that_fails(store: Store) -> None:
    """After a failure the upload is aborted, not completed with what was sent, and an earlier object stays."""
    path = ObjectStoragePath("memory://bucket/f0.mp4")
    with writing(path) as out:
        out.write(b"earlier")
    break_off(path, b"x" * (BUFFER + 1))
    assert list(store.objects.values()) == [b"earlier"]
    assert store.aborted == 1


def test_a_huge_object(store: Store) -> None:
    """Parts grow with a file, so that it takes no more of them than an object storage allows."""
    size = 1024**4
    with writing(ObjectStoragePath("memory://bucket/f0.mp4"), size) as out:
        assert size / out.blocksize < 10_000


def test_a_storage_that_shows_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file is visible while it is written, a failed one is removed."""
    from airflow.sdk.io import store as stores

    monkeypatch.setattr(stores, "_STORE_CACHE", {})
    fs = MemoryFileSystem(global_store=False, skip_instance_cache=True)
    attach("memory", fs=fs)
    path = ObjectStoragePath("memory://folder/f0.mp4")
    break_off(path, b"12345", seen_meanwhile=lambda: fs.find("/"))
    assert fs.find("/") == []
    with writing(path) as out:
        out.write(b"12345")
    assert [fs.cat(name) for name in fs.find("/")] == [b"12345"]
