"""The report as a PDF: a front page, and what stands behind it on a few more."""
