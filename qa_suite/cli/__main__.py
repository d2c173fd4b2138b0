"""``python -m qa_suite.cli`` is the command ``qa-suite``."""

from qa_suite.cli import main

main()
