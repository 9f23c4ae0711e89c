"""Receivers of events that ship with the library, each in a module.

`memory`, `callback`, `logs` and `jsonl` need nothing else; `clevertap` and `webhook` need the extra `http`.
"""
