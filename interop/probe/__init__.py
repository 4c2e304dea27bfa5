"""Finding out what a broker at an address can do, and writing the first version of its profile."""
