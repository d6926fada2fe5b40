"""Helpers for all other parts: registries, checkpoints, seeding, errors."""
