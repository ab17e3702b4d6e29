"""Seeded campaigns that mutate what a user gives; see docs/contributing.md."""
