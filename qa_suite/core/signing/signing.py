"""Signing a verdict in its folder: both the signature's file and the log's line, or neither."""

from __future__ import annotations

from pathlib import Path

from qa_suite.core.errors import InputError
from qa_suite.core.examination_log import log_beside, read_log
from qa_suite.core.one_writer import writing
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.records.signature import Signed
from qa_suite.core.signing.signatures import log_signature, review_of, signed_with, write_signature
from qa_suite.core.verdict_files import WrittenVerdict


def sign_verdict(
    folder: Path,
    one: WrittenVerdict,
    *,
    key: Path,
    passphrase: str,
    name: str,
    role: str,
    meaning: str,
    comment: str = "",
) -> tuple[Signed, Path]:
    """Sign what a person says of a verdict; return the signature and its file.

    Parameters
    ----------
    folder
        Of the evaluation, which nobody else may be writing.
    one
        The verdict.
    key, passphrase
        File of the private key, and what opens it.
    name, role
        Of the person who signs.
    meaning
        ``approved``, ``rejected`` or ``reviewed``.
    comment
        In free words; it is signed too.

    Raises
    ------
    InputError
        If the key does not open, the verdict holds no digests, somebody else is writing, or the
        log cannot be written; then nothing was signed.
    """
    evaluation = read_evaluation(folder)
    statement = review_of(
        folder, one,
        name=name, role=role, meaning=meaning, comment=comment,
        head=read_log(log_beside(folder)).head,
    )  # fmt: skip
    signed = signed_with(statement, key, passphrase)
    with writing(folder, "sign"):
        path = write_signature(folder, signed)
        if problem := log_signature(folder, evaluation, signed, path):
            path.unlink()
            raise InputError(f"Nothing was signed: {problem}.")
    return signed, path
