"""OpenLineage datasets for the files that VOD tasks read and made.

Invariants: OpenLineage is imported only when its provider calls; of a URL only scheme, host and path are reported, because its
query may contain a signature (``sign``, ``t``, ``us`` of VOD's hotlink protection) and its authority a password.

Names follow OpenLineage's general rule, by which namespace and name make up a URI (https://openlineage.io/docs/spec/naming):
``https://host`` and ``/path/f0.mp4``. The specification has no entry for VOD. A media file of which only the FileId is known,
which VOD documents as globally unique, has the namespace ``tencent-vod`` and the FileId as name, like BigQuery's global names
in the namespace ``bigquery``; a file with a URL has this name as its symlink.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.common.compat.sdk import ObjectStoragePath
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_vod.events.results import ResultFile, TaskResult

NAMESPACE = "tencent-vod"


def lineage_of(results: Sequence[TaskResult], files: Iterable[ResultFile] | None = None) -> OperatorLineage:
    """Describe files as OpenLineage datasets.

    :param results: the results of VOD tasks.
    :param files: the subset of their files to report as outputs; None for all good files.
    :return: the files as outputs; as inputs the media files that the tasks read, as far as the results name them.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    made = [file for result in results for file in result.files]
    good = [file for file in made if file.error_code == 0] if files is None else files
    # The media file of an event is either one that the task made or one that it read.
    read = {result.file_id for result in results} - {file.file_id for file in made} - {None}
    return OperatorLineage(
        inputs=[Dataset(namespace=NAMESPACE, name=file_id) for file_id in sorted(map(str, read))],
        outputs=[dataset for file in good if (dataset := _dataset(file))],
    )


def lineage_of_copies(copies: Iterable[tuple[ResultFile, ObjectStoragePath]]) -> OperatorLineage:
    """Describe copied files as OpenLineage datasets.

    :param copies: each file and where its copy is.
    :return: the files as inputs, their copies as outputs, in the same order. A copy in an object storage is named by bucket and
        key, one in a folder by the namespace ``file`` and its path (https://openlineage.io/docs/spec/naming).
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    pairs = [(_dataset(file), path) for file, path in copies]
    return OperatorLineage(
        inputs=[dataset for dataset, _ in pairs if dataset],
        outputs=[Dataset(*_place_in_storage(path)) for _, path in pairs],
    )


def _place_in_storage(path: ObjectStoragePath) -> tuple[str, str]:
    if path.protocol in ("", "file", "local"):
        return "file", path.path
    return path.namespace, path.key


def _dataset(file: ResultFile) -> Dataset | None:
    from airflow.providers.common.compat.openlineage.facet import Dataset, Identifier, SymlinksDatasetFacet

    place = _place(file.url)
    if place is None:
        return Dataset(namespace=NAMESPACE, name=file.file_id) if file.file_id else None
    if not file.file_id:
        return Dataset(*place)
    alias = Identifier(namespace=NAMESPACE, name=file.file_id, type="FILE")
    return Dataset(*place, facets={"symlinks": SymlinksDatasetFacet(identifiers=[alias])})


def _place(url: str | None) -> tuple[str, str] | None:
    """Split a URL into namespace and name; None if it is not an HTTP URL with a path."""
    try:
        parts = urlsplit(url or "")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or parts.path in ("", "/"):
        return None
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}", parts.path
