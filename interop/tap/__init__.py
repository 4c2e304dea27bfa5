"""The recording man in the middle: it carries bytes between client and broker, keeps the trace and causes faults."""
