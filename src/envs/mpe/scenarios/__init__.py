"""The eight particle tasks."""
