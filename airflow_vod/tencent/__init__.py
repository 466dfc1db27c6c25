"""Tencent Cloud's VOD API: settings, credentials, transport, rate limit, errors."""
