"""Five outages of the database and the relays under load, measured."""
