"""The contract of a storage, clause by clause: a room for each subject."""
