"""The checks of `--check-env`."""
