"""What every other part may use: registries, checkpoints, seeding, errors."""
