"""Writes files to wherever Airflow's `ObjectStoragePath` leads.

Invariant: a file either arrives whole or not at all: what was written until a failure is not left behind, and where the storage
allows it, an earlier file of that name stays until the new one is complete.
"""

from __future__ import annotations

import contextlib
import logging
import posixpath
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

BUFFER = 8 * 1024 * 1024
"""Bytes that a storage collects before it sends them; the parts of a multipart upload have this size."""
_PARTS = 9_000  # S3 and its kin take at most 10,000 parts

log = logging.getLogger(__name__)


@contextlib.contextmanager
def writing(path: ObjectStoragePath, size: int | None = None) -> Iterator[Any]:
    """Open a file to write bytes to, and complete it at the end of the block.

    A local file is written beside its place and moved there. An object storage shows an object only once its upload is completed,
    and a failed upload is aborted. Any other storage shows the file while it is written, and a failed one is removed.

    :param path: where to; folders that do not exist are made.
    :param size: bytes, if known.
    :return: a file object of `fsspec`.
    :raises OSError: the storage cannot be written to.
    """
    from fsspec.implementations.local import LocalFileSystem
    from fsspec.spec import AbstractBufferedFile

    fs, place = path.fs, path.path
    local = isinstance(fs, LocalFileSystem)
    part = posixpath.join(posixpath.dirname(place), f".{uuid.uuid4().hex}.part") if local else place
    file = _open(fs, part, size)
    try:
        yield file
        file.close()
        if local:
            fs.mv(part, place)
    except BaseException:
        with contextlib.suppress(Exception):  # what is reported is why it failed, not what came of cleaning up
            if isinstance(file, AbstractBufferedFile):
                file.discard()
                file.closed = True  # closing would complete the upload
            else:
                file.close()
                fs.rm_file(part)
        raise


def _open(fs: Any, place: str, size: int | None) -> Any:
    block_size = max(BUFFER, (size or 0) // _PARTS + 1)
    try:
        return fs.open(place, "wb", block_size=block_size)
    except FileNotFoundError:
        # Only now: an object storage has no folders, and making them may need a permission that writing does not.
        fs.makedirs(posixpath.dirname(place), exist_ok=True)
        return fs.open(place, "wb", block_size=block_size)
