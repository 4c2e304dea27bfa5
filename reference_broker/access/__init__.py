"""Who may come in and do what: users, rules, certificates and listeners, as an operator writes them down.

Here live: the settings (`config`), files of users (`passwords`) and rules (`rules`), what they come to (`control`),
names from certificates (`certificates`), SCRAM-SHA-256 for both ends (`scram`), and the broker on sockets that obeys
all that (`server`). What is asked, and when, is the broker's: `broker.values.access`.
"""
