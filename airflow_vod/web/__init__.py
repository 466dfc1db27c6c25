"""HTTP endpoints on Airflow's API server: the receiver of callbacks, and the page "VOD events"."""
