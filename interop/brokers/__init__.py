"""How a broker under test is started: in this process, as a child process, in a container, or by somebody else."""
