"""Floor 2, outgoing: from a session's mailbox to the bytes that leave.

Here live: one connection's output (`output`) and what of it all connections share (`Round`), one client's limits
(`sending`), one session's outgoing half (`mailbox`) with what waits (`waiting`), what is in flight (`flight`) and what
the store is told of both (`ledger`), packets that came together (`bursts`) in the form each receiver needs (`forms`),
who waits for whom (`backpressure`).
Nobody here knows whom a message is for or what a connection may do: `Output` and `Mailbox` are extended above.
"""
