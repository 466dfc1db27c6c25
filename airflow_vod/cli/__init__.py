"""The command ``airflow-vod``: one module per subcommand."""

from airflow_vod.cli.main import main

__all__ = ["main"]
