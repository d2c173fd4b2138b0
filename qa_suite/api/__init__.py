"""The public functions, for notebooks and scripts: ``from qa_suite import gamma``."""
