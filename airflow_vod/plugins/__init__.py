"""The plugin that Airflow discovers."""
