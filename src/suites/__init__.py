"""A suite's schedule, and the trials of a search."""
