"""Loggers: the places where a run's metrics are recorded."""
