"""The contract of a storage, in suites: a module for each subject."""
