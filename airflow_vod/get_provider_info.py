"""What Airflow discovers of this provider.

Invariant: plain data; Airflow reads it at start-up in every process, so it imports nothing.
"""

from __future__ import annotations

from typing import Any

_INTEGRATION = "Tencent Cloud VOD"


def _text_field(label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


def get_provider_info() -> dict[str, Any]:
    """Describe the provider in the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-vod",
        "name": "Tencent Cloud VOD",
        "description": "Wait for media tasks of Tencent Cloud VOD (Video on Demand) and hand their files on.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://www.tencentcloud.com/document/product/266",
                "tags": ["service"],
            }
        ],
        "operators": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_vod.operators.vod"]}],
        "sensors": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_vod.sensors.vod", "airflow_vod.sensors.vod_event"],
            }
        ],
        "hooks": [
            {"integration-name": _INTEGRATION, "python-modules": ["airflow_vod.hooks.server", "airflow_vod.hooks.vod"]}
        ],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_vod.triggers.vod", "airflow_vod.triggers.vod_event"],
            }
        ],
        "extra-links": ["airflow_vod.links.vod.VodConsoleLink", "airflow_vod.links.vod.VodEventLink"],
        "queues": ["airflow_vod.queues.vod.VodMessageQueueProvider"],
        "connection-types": [_CONNECTION_TYPE],
        "config": {"tencent_vod": {"description": "The inbox for events of Tencent Cloud VOD.", "options": _OPTIONS}},
    }


_CONNECTION_TYPE = {
    "connection-type": "tencent_vod",
    "hook-class-name": "airflow_vod.hooks.vod.VodHook",
    "hook-name": "Tencent Cloud VOD",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port"],
        "relabeling": {"login": "SecretId", "password": "SecretKey", "host": "Endpoint"},
        "placeholders": {
            "login": "AKID…, or empty for the SDK's default credential chain",
            "host": "vod.tencentcloudapi.com",
        },
    },
    "conn-fields": {
        "sub_app_id": {
            "label": "SubAppId",
            "description": "Id of the VOD application. Accounts opened on or after 2023-12-25 must give it.",
            "schema": {"type": ["integer", "null"]},
        },
        "confirm_policy": _text_field(
            "Confirm policy",
            "all: confirm every event once it is in the inbox. awaited: only those that a task here waits for.",
            enum=["all", "awaited"],
            default="all",
        ),
        "region": _text_field("Region", "Value of X-TC-Region; VOD needs none."),
        "token": _text_field("Session token", "Of temporary credentials.", format="password"),
        "role_arn": _text_field("Role ARN", "CAM role to assume with the API key."),
        "role_session_name": _text_field("Role session name", "Name of the assumed session in the audit log."),
        "callback_sign_key": _text_field(
            "Callback SignKey", "The application's SignKey, with which VOD signs callbacks.", format="password"
        ),
        "callback_token": _text_field(
            "Callback token",
            "Secret at the end of the callback URL, for applications without SignKey.",
            format="password",
        ),
        "proxy": _text_field("Proxy", "http://user:password@host:port", format="password"),
        "verify": _text_field("Verify TLS", "true, false, or the path of a file with the trusted authorities."),
    },
}

_OPTIONS = {
    "inbox_sql_alchemy_conn": {
        "description": "SQLAlchemy URL of the inbox: SQLite, PostgreSQL or MySQL. Empty means the SQLite file vod_inbox.db in "
        "AIRFLOW_HOME, which is enough as long as all of Airflow runs on one machine.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "postgresql+psycopg://airflow:***@db/vod_inbox",
        "default": "",
        "sensitive": True,
    },
    "inbox_retention_days": {
        "description": "Days for which events stay in the inbox, read or not. VOD itself keeps them for four.",
        "version_added": "0.1.0",
        "type": "float",
        "example": None,
        "default": "7",
    },
}
