"""Where the code of models registered with version 0.1 looks for :mod:`qa_suite.core.errors`."""

from qa_suite.core.errors import InputError

__all__ = ["InputError"]
