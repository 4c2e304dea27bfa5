"""How much a broker carries: a load generator, and brokers compared in one table."""
