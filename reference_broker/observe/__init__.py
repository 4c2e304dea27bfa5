"""What an operator sees of a running broker; nobody else has to know that there is anything to see.

Here live: the settings (`config`), what is counted on the wire (`counting`), all figures as one value (`figures`),
where they go (`sys_topics`, `metrics`), lines for people and machines (`logs`), and the broker on sockets with all that
(`server`).
"""
