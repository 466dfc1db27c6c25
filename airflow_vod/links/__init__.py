"""Where the tasks of this provider link to in Airflow's user interface."""
