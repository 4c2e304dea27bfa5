"""Containers of ours: images of brokers and adapters, started and removed by the engine's own interface.

Belongs here: the life of one container (`container`), its end where we are killed (`guard`).
Does not belong here: building or pulling images: what is tested should be chosen, not fetched by accident; what is said
to what runs inside (`interop.brokers.container`, `interop.drivers.container`).
"""

CONTAINER_PREFIX = "docker:"
"""What the name of a broker or client begins with that is an image: `docker:IMAGE`, `docker:IMAGE@sha256:...`."""
