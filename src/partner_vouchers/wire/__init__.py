"""Entities as JSON and back."""
