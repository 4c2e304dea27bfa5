"""Subcommands that read what runs left: `report`, `merge`, `diff`. No run is started here."""
