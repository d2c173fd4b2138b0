"""The run of an evaluation: who may be examined, case by case, journal, provenance, MLflow."""
