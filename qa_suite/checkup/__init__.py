"""The check-up of one new patient, without a reference: percentiles and control limits."""

from qa_suite.checkup.charts import Limits, control_limits
from qa_suite.checkup.findings import ChartFinding, CheckUp, check_up

__all__ = ["ChartFinding", "CheckUp", "Limits", "check_up", "control_limits"]
