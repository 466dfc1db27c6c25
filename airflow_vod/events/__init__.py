"""VOD events: their types, parser and key, the results of finished tasks, and matching."""
