"""Buffers: which episodes a gradient step uses."""
