"""How events get from the outbox to the sinks."""
