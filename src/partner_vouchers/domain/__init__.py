"""The rules: pure functions and frozen entities, without IO, clock, randomness or logging."""
