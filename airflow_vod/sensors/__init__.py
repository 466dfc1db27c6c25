"""The sensors that this provider brings to Airflow."""
