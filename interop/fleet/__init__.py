"""A run spread over many machines by Dask: `mqtt-interop run --dask tcp://SCHEDULER:8786`.

In here: what a machine is given to do (`job`), doing it there (`playing`), and giving out jobs and joining what comes
back (`spreading`). A job is a shard of the run, played by a run of its own, so that nothing else has to know of fleets.
"""
