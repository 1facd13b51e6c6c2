"""How near real bars a GAN comes with the number of its training songs: an eighth, a quarter, half and all of them.

Run: python recipes/curve.py CORPUS OUT
CORPUS is what `rhythmgan prepare` wrote. OUT gets a folder for each training and each evaluation, and curve.md, which
is printed as well. A stopped recipe is resumed by the same command. The smaller shares lie in the larger ones, and all
GANs are trained for as many steps; the evaluation compares each with real bars of the songs that it was trained on.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rhythmgan.files import write_whole

SHARES = (0.125, 0.25, 0.5, 1.0)
ROWS = ("real, training songs", "GAN", "memoriser")
REFERENCES = {"distinct": "distinct bars", "as_played": "bars as played"}


def commands(
    corpus: Path, out: Path, shares: Sequence[float], training: Sequence[str], split: str, grid: int
) -> dict[str, list[str]]:
    """Every command by the file that it writes last; a file that is there needs no command."""
    found = {}
    data = ["--data", str(corpus), "--grid", str(grid)]
    for share in shares:
        run, report = out / f"gan-{share:g}", out / f"report-{share:g}"
        songs = ["--songs-share", f"{share:g}", "--quiet"]
        weights = str(run / "gan.safetensors")
        found[weights] = ["rhythmgan", "train", "gan", *data, "--out", str(run), *training, *songs]
        found[str(report / "report.json")] = [
            "rhythmgan",
            "evaluate",
            weights,
            *data,
            *("--split", split, "--baseline", "memoriser", "--out", str(report)),
            *songs,
        ]
    return found


def table(reports: Mapping[float, Mapping[str, Any]]) -> str:
    """The curve as Markdown, of the reports of `rhythmgan evaluate` by share; each has the GAN in its third row."""
    columns = [(kind, row) for kind in REFERENCES for row in range(len(ROWS))]
    heads = [f"C2ST, {ROWS[row]}, beside {REFERENCES[kind]}" for kind, row in columns]
    heads += ["± of the GANs'", "coverage, GAN, beside distinct bars", "copies", "nearest"]
    lines = ["| share | songs | distinct bars | " + " | ".join(heads) + " |", "|" + " ---: |" * (len(heads) + 3)]
    for share, report in sorted(reports.items()):
        rows = {kind: report["references"][kind]["rows"][1:] for kind in REFERENCES}  # the first are the reference
        gan = rows["distinct"][1]
        cells = [f"{share:g}", f"{report['training']['songs']:,}", f"{report['training']['bars']:,}"]
        cells += [f"{rows[kind][row]['c2st']:.3f}" for kind, row in columns]
        cells += [f"{max(rows[kind][1]['std'] for kind in REFERENCES):.3f}", f"{gan['coverage']:.2f}"]
        cells += [f"{gan['copies']:.3f}", f"{gan['nearest']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--shares", type=float, nargs="+", default=SHARES, metavar="X", help="of the songs (%(default)s)"
    )
    parser.add_argument("--split", choices=("valid", "test"), default="test", help="songs to evaluate by (%(default)s)")
    parser.add_argument("--grid", type=int, default=16, metavar="STEPS", help="grid of the bars (%(default)s)")
    parser.add_argument("--pretrain-steps", type=int, default=2000, metavar="N", help="of each GAN (%(default)s)")
    parser.add_argument("--train-steps", type=int, default=1500, metavar="N", help="of each GAN (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=256, metavar="N", help="of each GAN (%(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run none")
    options = parser.parse_args(arguments)
    names = ("pretrain-steps", "train-steps", "batch-size")
    training = [word for name in names for word in (f"--{name}", str(getattr(options, name.replace("-", "_"))))]
    steps = commands(
        options.corpus, options.out, options.shares, [*training, "--threads", "1"], options.split, options.grid
    )
    for file, command in steps.items():
        print("+", shlex.join(command), file=sys.stderr)
        if options.dry_run or Path(file).exists():
            continue
        quietly = subprocess.DEVNULL if command[1] == "evaluate" else None
        if status := subprocess.run(command, check=False, stdout=quietly).returncode:
            return status
    if not options.dry_run:
        paths = {share: options.out / f"report-{share:g}" / "report.json" for share in options.shares}
        curve = table({share: json.loads(path.read_text(encoding="utf-8")) for share, path in paths.items()})
        write_whole(options.out / "curve.md", curve.encode())
        print(curve, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
