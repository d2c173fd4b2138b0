"""The examined: translators of medical images, one self-contained family a file."""
