"""Agents' networks: from inputs to one number for each action."""
