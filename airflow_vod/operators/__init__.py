"""The operators that this provider brings to Airflow."""
