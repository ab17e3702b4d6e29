"""Campaigns that try the product as machines and people will: seeded, and long by option."""
