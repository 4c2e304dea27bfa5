"""Where a broker's state survives the broker: as long as an object lives (memory), or in a file (SQLite).

`records` says what a store is, `memory` and `sqlite` are the two there are. Of the latter: `opening` which files are
stores, `lock` who has one, `blob` how a commit is written, `pending` what is not in its place yet, `errors` what people
are told; `format_1` and `snapshot` are how it was before.
"""
