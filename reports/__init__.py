"""Results in (JSON Lines), pages out: HTML, JUnit, Markdown. Knows nothing of how the results came about."""
