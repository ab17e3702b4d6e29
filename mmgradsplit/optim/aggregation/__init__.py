"""Aggregators: how task gradients become one gradient."""
