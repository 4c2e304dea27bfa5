"""The pages of docs/ that follow from code. `make docs` writes them, a test says when they are not current."""
