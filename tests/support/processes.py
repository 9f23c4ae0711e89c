"""Processes that start in a few milliseconds, forked from one that has imported what they need and done nothing."""

from __future__ import annotations

import multiprocessing

PROCESSES = multiprocessing.get_context("forkserver")
# Each process imports the main module of this one, which is pytest.
PROCESSES.set_forkserver_preload(["pytest", "tests.concurrency.work", "tests.reliability.lives"])
