"""Games of one step, and the structured tasks."""
