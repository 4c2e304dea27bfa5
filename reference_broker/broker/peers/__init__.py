"""Floor 4, peers: one connection, and what each packet of its peer does.

Here live: the connection's state and its end (`peer`), the packets (`connecting`, `authenticating`, `accepting`,
`publishing`, `subscribing`), and which of them is allowed when (`dispatch`).
Everybody here is given a `Peer`, which knows the `House` below and never the broker above.
"""
