"""What VOD announces: event types, one parser, one key, results and matching."""
