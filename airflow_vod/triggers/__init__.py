"""The triggers that this provider brings to Airflow."""
