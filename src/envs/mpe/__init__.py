"""Particle tasks as tensor programs."""
