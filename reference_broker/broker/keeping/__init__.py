"""Floor 3, keeping: what outlives a connection, and the way of a message through it.

Here live: sessions (`session`, `sessions`), subscriptions (`topic_tree`, `shared`, `routing`), retained messages
(`retained_tree`, `retained`), wills, what the store is told of a session (`record`), how a start takes in what the
store has (`moving_in`, `belongings`; `former` for a file of before), bytes that came in and are no packet yet
(`incoming`), the way of a message (`exchange`), and all of it as one value (`house`).
Nobody here knows a packet or a connection beyond its `Output`.
"""
