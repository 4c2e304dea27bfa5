"""The site: many runs as pages that belong together, to be opened from a disk or put on any web server.

From the bottom: `plays` (what was played with what), `standings` (who keeps which statement), `history` (releases in
their order), `pages` (HTML), `data` (what the scripts load, piece by piece), `write` (the folder).
"""
