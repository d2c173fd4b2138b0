from qa_suite.api.doses import dvh as dvh
from qa_suite.api.doses import gamma as gamma
from qa_suite.api.examinations import evaluate as evaluate
from qa_suite.api.examinations import judge as judge
from qa_suite.api.examinations import load_cohort as load_cohort
from qa_suite.api.pairs import measure as measure

__all__ = ["dvh", "evaluate", "gamma", "judge", "load_cohort", "measure"]

__version__: str
