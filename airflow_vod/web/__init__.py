"""What Airflow's API server serves for this package: the receiver of callbacks, and the page "VOD events"."""
