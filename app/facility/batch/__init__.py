"""A batch system that answers to Slurm's commands and really runs the scripts."""
