"""Helpers for all other parts: registries, seeding, errors, files, devices, signals."""
