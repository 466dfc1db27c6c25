"""The hooks that this provider brings to Airflow."""
