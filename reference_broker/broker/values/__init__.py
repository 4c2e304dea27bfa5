"""Floor 1, values: settings, messages, times, and what follows from them alone.

Here live: settings (`config`), who may do what (`access`, `admission`), messages (`message`) and how much room they
take (`sizes`), what a subscription grants (`terms`), bytes at equal distances (`runs`), what has to survive the broker
(`journal`) and what its rows say (`rows`), timers, phases, the log.
Nobody here knows a connection, a session or a subscription tree; everybody above may use all of it.
"""
