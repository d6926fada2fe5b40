"""Mixers: from the agents' values to a value of the team."""
