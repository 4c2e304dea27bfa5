"""Scenario files: their schema, how they are loaded, and the lint that keeps them honest."""
