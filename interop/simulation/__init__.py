"""The reference broker and clients in one process and in virtual time, over links that fail, all from one seed.

Here live: what is done (`steps`, chosen in `script`), the world it is done to (`setup`, `world` upon `medium`, `wires`,
`peers`), what survives a crash (`keeping`), all that the broker owes (`ledger`, `shares`), the invariants (`book`,
`books_...`, `judged`), one run and its replay (`episode`), fewer steps that fail alike (`shrinking`), brokers that are
wrong on purpose (`wrong`), and the command.
Nobody here knows a socket or, but for the command, a process or a clock.
"""
