"""`python -m interop.docs` writes the pages, beside those that people write."""

from interop.docs.pages import write_pages

if __name__ == "__main__":
    write_pages()
