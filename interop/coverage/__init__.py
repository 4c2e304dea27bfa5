"""Which numbered statements there is evidence for: what ran, put to the test, and asserted."""
