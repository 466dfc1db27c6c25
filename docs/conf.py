"""How Sphinx builds the site: `make docs`.

Invariant: building fetches nothing, and the pages it makes fetch nothing either.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import gettempdir

_DOCS = Path(__file__).parent
sys.path[:0] = [str(_DOCS.parent), str(_DOCS / "_ext")]
# Autodoc imports the package, and that imports Airflow, which writes where it is at home.
os.environ.setdefault("AIRFLOW_HOME", str(Path(gettempdir()) / "airflow-vod-docs"))

from airflow_vod import __version__  # noqa: E402 - the path comes first

project = "airflow_vod"
author = "The airflow_vod authors"
copyright = f"2026, {author}. Apache License 2.0"  # noqa: A001 - Sphinx names it
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "vod_reference"]
exclude_patterns = ["_build", "_ext"]
root_doc = "index"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

default_role = "py:obj"  # `name` in a docstring leads to what it names
autodoc_typehints = "none"  # the text gives types and units
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True

smartquotes_action = "D"  # quotes stay as they are typed

html_theme = "furo"
html_title = f"airflow_vod {release}"
html_static_path: list[str] = []
html_show_sphinx = False
html_copy_source = False
