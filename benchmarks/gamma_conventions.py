"""How much the conventions of gamma differ on one pair of doses: the table of docs/dose/gamma.md.

python benchmarks/gamma_conventions.py
"""

from __future__ import annotations

from bench_gamma import SCENES, scene

from qa_suite.dose.gamma import GammaSettings, gamma, parse_criteria

PRESCRIPTION_GY = 60.0
CONVENTIONS: dict[str, tuple[dict[str, object], bool]] = {
    "trilinear": ({}, False),
    "trilinear, cut-off 20 %": ({"cutoff_pct": 20}, False),
    "trilinear, of the prescription (60 Gy)": (
        {"normalisation": "prescription", "cutoff_of": "prescription"},
        False,
    ),
    "trilinear, local": ({}, True),
    "simplex": ({"mode": "simplex"}, False),
    "pymedphys": ({"mode": "pymedphys"}, False),
    "pymedphys, 20 steps": ({"mode": "pymedphys", "interp_fraction": 20}, False),
    "matrad, n = 0": ({"mode": "matrad"}, False),
    "matrad, n = 1": ({"mode": "matrad", "matrad_n": 1}, False),
    "matrad, n = 2": ({"mode": "matrad", "matrad_n": 2}, False),
    "matrad, n = 2, linear": (
        {"mode": "matrad", "matrad_n": 2, "matrad_interpolation": "linear"},
        False,
    ),
}


def main() -> None:
    shape = min(SCENES)
    doses = scene(shape, SCENES[shape])
    print("| Convention | judged | passes at | 3 %/3 mm | 2 %/2 mm | 1 %/1 mm | mean at 2/2 |")
    print("|---|--:|---|--:|--:|--:|--:|")
    for name, (settings, local) in CONVENTIONS.items():
        results = gamma(
            *doses,
            parse_criteria("3/3,2/2,1/1", local=local),
            GammaSettings(**settings),  # type: ignore[arg-type]
            prescription_gy=PRESCRIPTION_GY,
            threads=2,
        )
        judged = sorted({result.pass_rate().judged for result in results})
        counts = f"{judged[0]}" if len(judged) == 1 else f"{judged[0]} … {judged[-1]}"
        rule = results[0].pass_rule.replace("gamma ", "")
        rates = " | ".join(f"{result.pass_rate().share_pct:.2f}" for result in results)
        print(f"| {name} | {counts} | {rule} | {rates} | {results[1].region('all').mean:.3f} |")


if __name__ == "__main__":
    main()
