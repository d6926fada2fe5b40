"""A run's record in MongoDB, made from its folder."""
