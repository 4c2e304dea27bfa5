"""Floor 5, fast: streams of packets that begin alike, read and passed on as the bytes they are.

Here live: walking what came in (`fastpath`), what is remembered of packets that begin alike (`heads`), passing runs of
them on (`forwarding`). What the floors below would do, packet by packet, is the definition: tests compare each byte.
"""
