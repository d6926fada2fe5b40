"""What a run leaves on disk and elsewhere: loggers, checkpoints, its folder, MongoDB, W&B."""
