"""Signatures of people under verdicts and releases: keys, who may sign, what was signed.

A signature is of what a verdict's digests say and never of a rendered page. Whether it counts is
decided by a file of reviewers that lies outside the evaluation: a key that an evaluation brings
along proves nothing.
"""
