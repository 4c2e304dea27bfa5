"""A generated corpus of malformed and barely valid packets, and what the specification allows in answer to each."""
