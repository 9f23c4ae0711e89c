"""Receivers of events that the library brings along, a module each.

`memory`, `callback`, `logs` and `jsonl` need nothing else; `clevertap` and `webhook` need the extra `http`.
"""
