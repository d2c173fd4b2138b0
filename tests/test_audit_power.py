"""How many are needed: against published and simulated answers."""

import numpy as np
import pytest

from qa_suite.audit.gaps import contrast
from qa_suite.audit.power import chance_at_a_site, chance_of_naming, patients_a_site
from qa_suite.cli import run
from qa_suite.core.errors import Problems


def test_the_chance_is_that_of_the_textbook():
    # Cohen (1988): 80 % of studies, 5 % two-sided, need 64 a group for d = 0.5 and 17 for d = 1.
    assert chance_of_naming(1.0, 17, [17], [1.0], alpha=0.05) == pytest.approx(0.80, abs=0.01)
    assert chance_of_naming(0.5, 64, [64], [1.0], alpha=0.05) == pytest.approx(0.80, abs=0.01)


def test_the_chance_is_what_simulated_strata_find():
    rng = np.random.default_rng(4)
    sizes, alpha, found = (12, 30, 9), 0.01, 0
    runs = 1500
    for _ in range(runs):
        group = {str(s): rng.normal(1.0, 1, n // 3) for s, n in enumerate(sizes)}
        others = {str(s): rng.normal(0.0, 1, n) for s, n in enumerate(sizes)}
        one = contrast(group, others)
        assert one is not None
        found += one.p <= alpha and one.gap > 0
    expected = chance_of_naming(1.0, one.n, one.sizes, one.shares, alpha=alpha)
    assert found / runs == pytest.approx(expected, abs=0.04)


def test_more_patients_never_lower_the_chance_and_more_questions_never_raise_it():
    audit = {"size_in_sd": 2.0, "sites": 8}
    by_n = [chance_at_a_site(n, measures=3, **audit) for n in range(5, 40)]
    by_m = [chance_at_a_site(8, measures=m, **audit) for m in range(1, 30)]
    assert by_n == sorted(by_n)
    assert by_m == sorted(by_m, reverse=True)


def test_patients_a_site_are_the_fewest():
    audit = {"size_in_sd": 2.0, "measures": 3, "sites": 8, "strata": 20}
    n = patients_a_site(**audit)
    assert chance_at_a_site(n, **audit) >= 0.95 > chance_at_a_site(n - 1, **audit)
    assert 5 < n <= 20


def test_impossible_audits_are_refused_all_at_once():
    with pytest.raises(Problems, match="2 problems"):
        patients_a_site(size_in_sd=0, measures=0, sites=8)


@pytest.mark.parametrize(
    "words, expected",
    [
        (["share"], "shown by 72 of 72"),
        (["mean", "--findings", "33"], "passes all of 33 findings"),
        (["gap", "--measures", "3"], "would be named in at least 95 % of audits"),
        (["new-site", "--inside", "3"], "a further site is shown to lie inside"),
    ],
)
def test_the_verb_says_it_in_a_sentence(words, expected, capsys):
    assert run(["power", *words]) in (0, None)
    told = capsys.readouterr().out
    assert expected in told
    assert "two-sided" in told


def test_the_verb_shows_both_conventions_of_shares(capsys):
    run(["power", "share"])
    told = capsys.readouterr().out
    for part in ("72 of 72", "59 of 59", "92 of 93"):
        assert part in told
