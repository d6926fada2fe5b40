"""Where the commands of a suite run: this machine, Ray, SLURM."""
