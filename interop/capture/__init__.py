"""The judge on a recording from the field: packets, the streams in them, and what each connection said."""
