"""One small file per client implementation, all behind one contract of JSON Lines."""
