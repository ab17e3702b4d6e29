"""Tests, a package: processes that a test spawns import their functions from it by name."""
