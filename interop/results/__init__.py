"""Subcommands that read what runs left: `report`, `merge`, `site`, `diff`; and `published`, which has them
played and keeps them."""
