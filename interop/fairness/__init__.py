"""Whether verdicts depend on the implementations and on nothing else."""
