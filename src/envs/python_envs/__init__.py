"""Environments written in Python, in worker processes."""
