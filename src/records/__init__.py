"""Records of a run, on disk and elsewhere: loggers, checkpoints, its folder, MongoDB, W&B."""
