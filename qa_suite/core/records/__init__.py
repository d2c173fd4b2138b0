"""The record: measurements, evaluations, criteria, findings and verdicts.

An evaluation is a folder::

    evaluation.json        who measured what, with what, when (Evaluation)
    measurements.parquet   one row a measurement (Measurement)
    cases.parquet          one row a case: status, reason, preflight values, strata (CaseRecord)
    costs.parquet          time and memory of each translation, as measurements
    curves.parquet         one row a point of a curve (CurvePoint): DVH, profiles
    volumes/               content-addressed NIfTI files, as many as were kept

Measuring is done once; the record is never edited. Judging reads it and writes a verdict of
its own. Two runs of the same thing give the same bytes apart from ``evaluation.json``'s
``when`` block and ``costs.parquet``.
"""

from qa_suite.core.records.audit import (
    Audit,
    AuditCell,
    AuditedEvaluation,
    AuditMeasure,
    AuditOutcome,
    CellFinding,
    CellTest,
    Gap,
    NewSite,
    Reach,
)
from qa_suite.core.records.audit_shift import (
    AuditDistances,
    AuditShift,
    BehindGap,
    FarPatient,
    FollowPlot,
    MovedImage,
)
from qa_suite.core.records.case import (
    DECIDING_CHECKS,
    CaseRecord,
    CaseStatus,
    PreflightStatus,
    PreflightValue,
    preflight_sentence,
    preflight_status,
)
from qa_suite.core.records.comparison import Answer, Asked, Compared, Comparison, PairedFinding
from qa_suite.core.records.evaluation import (
    CodeFacts,
    CohortFacts,
    Evaluation,
    InstrumentFacts,
    LeftOutMeasures,
    ModelFacts,
    PluginFacts,
    When,
)
from qa_suite.core.records.evidence import CohortUse, Evidence, ProfileTried, Protocol, Supersession
from qa_suite.core.records.exclusion import SMALLER_IS_BETTER, Limit, bare_numbers, limit_of
from qa_suite.core.records.measurement import (
    NO_CENSORING,
    CurvePoint,
    Measurement,
    MeasurementStatus,
    SchemaVersion,
    SetMeasurement,
)
from qa_suite.core.records.profile import (
    Criterion,
    Described,
    Examined,
    Margin,
    Profile,
    Scope,
    Statistic,
    asked_by,
    margin_of,
)
from qa_suite.core.records.sources import TrainingSources
from qa_suite.core.records.verdict import (
    NO_EVIDENCE,
    Finding,
    Outcome,
    Reason,
    ReasonCode,
    SiteGap,
    SpeaksOf,
    Verdict,
)

__all__ = [
    "DECIDING_CHECKS",
    "NO_CENSORING",
    "NO_EVIDENCE",
    "SMALLER_IS_BETTER",
    "Answer",
    "Asked",
    "Audit",
    "AuditCell",
    "AuditDistances",
    "AuditMeasure",
    "AuditOutcome",
    "AuditShift",
    "AuditedEvaluation",
    "BehindGap",
    "CaseRecord",
    "CaseStatus",
    "CellFinding",
    "CellTest",
    "CodeFacts",
    "CohortFacts",
    "CohortUse",
    "Compared",
    "Comparison",
    "Criterion",
    "CurvePoint",
    "Described",
    "Evaluation",
    "Evidence",
    "Examined",
    "FarPatient",
    "Finding",
    "FollowPlot",
    "Gap",
    "InstrumentFacts",
    "LeftOutMeasures",
    "Limit",
    "Margin",
    "Measurement",
    "MeasurementStatus",
    "ModelFacts",
    "MovedImage",
    "NewSite",
    "Outcome",
    "PairedFinding",
    "PluginFacts",
    "PreflightStatus",
    "PreflightValue",
    "Profile",
    "ProfileTried",
    "Protocol",
    "Reach",
    "Reason",
    "ReasonCode",
    "SchemaVersion",
    "Scope",
    "SetMeasurement",
    "SiteGap",
    "SpeaksOf",
    "Statistic",
    "Supersession",
    "TrainingSources",
    "Verdict",
    "When",
    "asked_by",
    "bare_numbers",
    "limit_of",
    "margin_of",
    "preflight_sentence",
    "preflight_status",
]
