"""Apache Airflow provider for Tencent Cloud VOD (Video on Demand).

Importing this package costs nothing: Airflow imports it at every DAG parse, so it holds the version alone.
"""

__version__ = "0.1.0"
