"""The shipped storages."""
