"""Signatures are checked, never believed: which were changed, taken away or left out of the log.

Whose signatures count is another question, and a file of reviewers answers it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from qa_suite.core.errors import QAError
from qa_suite.core.examination_log import Log, log_beside, read_log
from qa_suite.core.records import Evaluation
from qa_suite.core.signing.signatures import read_signed, signature_paths, why_not_genuine
from qa_suite.core.verdict_files import WrittenVerdict
from qa_suite.judging.doubts import Doubt


def signature_doubts(
    folder: Path, evaluation: Evaluation, verdicts: Sequence[WrittenVerdict]
) -> Iterator[Doubt]:
    """Yield what of an evaluation's signatures is not as it was written.

    Parameters
    ----------
    folder, evaluation
        The record.
    verdicts
        Those that lie there and can be read.
    """
    log = read_log(log_beside(folder))
    noted = {line.signature: line for line in log.lines if _is_of(line, folder, evaluation)}
    present = set()
    for path in signature_paths(folder):
        try:
            signed, digest = read_signed(path)
        except QAError as error:
            yield Doubt(file=path.name, problem=" ".join(str(error).split()).rstrip("."))
            continue
        present.add(digest)
        said = signed.statement
        one = next((x for x in verdicts if x.identifier == getattr(said, "verdict", "")), None)
        if one is None:
            yield Doubt(file=path.name, problem="the verdict that it is of is not there")
        else:
            for problem in why_not_genuine(folder, signed, one):
                yield Doubt(file=path.name, problem=problem)
        yield from _of_the_log(path, said.log_head, log)
        if noted and digest not in noted:
            yield Doubt(
                file=path.name, problem=f"no line of {log.path.name} notes it", certain=False
            )
    for digest, line in noted.items():
        if digest not in present:
            yield Doubt(
                file=log.path.name,
                problem=f"a signature of {line.at[:16]} ({line.meaning} by {line.who}) was written "
                f"here and is gone, or is no longer what it was",
            )


def _is_of(line: object, folder: Path, evaluation: Evaluation) -> bool:
    here = (evaluation.evaluation, Path(folder).absolute().name)
    found = (getattr(line, "evaluation", ""), getattr(line, "folder", ""))
    return getattr(line, "what", "") == "signed" and found == here


def _of_the_log(path: Path, head: str, log: Log) -> Iterator[Doubt]:
    if head and not log.knows(head):
        yield Doubt(
            file=path.name,
            problem=f"the last line of {log.path.name} when it was signed ({head[:16]}) is not "
            f"there: the log was cut, changed or left behind",
            certain=bool(log.lines),
        )
