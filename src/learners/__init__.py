"""Losses and updates of the methods."""
