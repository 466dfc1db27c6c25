"""Links of this provider's tasks in Airflow's user interface."""
