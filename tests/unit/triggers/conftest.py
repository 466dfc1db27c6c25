"""Triggers are tested without the looks that would come to their help once a minute."""

from __future__ import annotations

from tests.airflow_fixtures import no_backstop

__all__ = ["no_backstop"]
