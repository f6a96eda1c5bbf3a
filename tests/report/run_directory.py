"""A synthetic run directory with every part a report may meet."""

from __future__ import annotations

import json
from pathlib import Path

from hydramol.core.results import Plot, Results, Section, Series, Structures, Table

METRICS = """step,epoch,train/loss,val/loss,val/loss_linear_guess,lr-AdamW
0,0,1.0,,,0.001
1,0,0.8,,,0.0009
1,0,,0.7,0.61,
2,1,0.6,,,0.0008
3,1,0.5,0.55,0.61,0.0007
"""

WATER = 'Properties=species:S:1:pos:R:3 {info} pbc="F F F"\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n'

RESULTS = Results(
    scalars={"denoising_t100_reduction": 52.5},
    sections=[
        Section(
            heading="Denoising <b>",
            text="Real structures are noised & brought back.",
            tables=[
                Table(["from t", "mean / Å", "kind"], [[100, 0.163, "good"], [200, float("nan"), None]], "How to read.")
            ],
            plots=[
                Plot(
                    "bars",
                    [Series("before", [100, 200], [0.2, 0.4]), Series("after", [100, 200], [0.1, 0.2])],
                    "t",
                    "Å",
                ),
                Plot(
                    "steps", [Series("data", [0, 1, 2], [0.5, 0.5]), Series("samples", [0, 1, 2], [0.2, 0.8])], "x", "y"
                ),
                Plot("lines", [Series("one", [1, 2, 3], [1, 10, 100])], "x", "y", "A note.", log_y=True),
                Plot("points", [Series("one", [1, 2, 3], [3, 1, float("nan")])], "x", "y"),
            ],
            structures=[Structures("evaluation/test/shown.extxyz", ["noised", "real"], "Noised to t = 100")],
        )
    ],
    headline={"mean RMSD, denoised from t = 100": "−52 %"},
)


def make_run(run: Path, plots: bool = True) -> Path:
    """Fills a folder as a finished run would; drawing plots takes most of a report's time."""
    (run / "evaluation/test").mkdir(parents=True)
    (run / "samples/first").mkdir(parents=True)
    (run / "config.yaml").write_text(
        "name: demo\nnet: {_target_: hydramol.nets.painn.PaiNN, n_features: 64}\nseed: 42\n"
    )
    (run / "overrides.yaml").write_text("- optimizer.lr=3e-4\n- net=painn\n")
    (run / "metrics.csv").write_text(METRICS)
    (run / "metrics.json").write_text(json.dumps({"val/loss": 0.55, "test/loss": float("nan")}))
    summary = {
        "status": "trained",
        "parameters": {"net.layers": 900000, "total": 946944},
        "split_sizes": {"train": 2600, "val": 200, "test": 200},
        "steps_per_epoch": 82,
        "effective_batch": 31.7,
        "peak_memory_mb": {"process": 812.0},
        "timings": {"fit": 171.3, "first_step": 0.41},
        "versions": {"torch": "2.13.0"},
    }
    (run / "summary.json").write_text(json.dumps(summary))
    results = RESULTS.to_dict()
    if not plots:
        results["sections"][0]["plots"] = []
    (run / "evaluation_test.json").write_text(json.dumps(results))
    frames = [
        f"3\n{WATER.format(info=f'item={item} label={label} caption={chr(34)}water {item}{chr(34)}')}"
        for item in range(2)
        for label in ("noised", "real")
    ]
    (run / "evaluation/test/shown.extxyz").write_text("".join(frames))
    path = "".join(f"3\n{WATER.format(info='item=0 label=path')}" for _ in range(5))
    (run / "samples/first/path.extxyz").write_text(path)
    samples = Results(sections=[Section("Drawn from noise", structures=[Structures("path.extxyz", ["path"])])])
    (run / "samples/first/results.json").write_text(json.dumps(samples.to_dict()))
    return run
