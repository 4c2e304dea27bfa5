"""Floor 3, keeping: what outlives a connection, and the way of a message through it.

Here live: sessions (`session`, `sessions`), subscriptions (`topic_tree`, `shared`, `routing`), retained messages
(`retained_tree`, `retained`), wills, what all this is when it is stored (`persistence`), bytes that came in and are no
packet yet (`incoming`), the way of a message (`exchange`), and all of it as one value (`house`).
Nobody here knows a packet or a connection beyond its `Output`.
"""
