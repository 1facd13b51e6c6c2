"""What real bars measure: from a raw value to "denser than 80 % of real bars", and back."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rhythmgan.bars import check_steps
from rhythmgan.features import FEATURES, check_feature, measure
from rhythmgan.files import read_safetensors_metadata, sort_safetensors_metadata, write_whole
from rhythmgan.kit import Kit, kit_named

FORMAT = "rhythmgan.reference"
VERSION = 1

FILE_NAME = "reference.safetensors"
"""What a reference is called in the folder of the weights that it belongs to."""

_GRID = 1001
"""Quantiles that are kept of each feature: every tenth of a percent."""


@dataclass(frozen=True)
class Reference:
    """The features of a set of real bars.

    Attributes:
        kit: what the parts are.
        steps: the grid.
        n_bars: how many bars they were.
        quantiles: name of each feature that the grid has → (1001,) float32, its values from the least to the largest.
        means: its mean.
        deviations: its standard deviation.
    """

    kit: Kit
    steps: int
    n_bars: int
    quantiles: dict[str, np.ndarray]
    means: dict[str, float]
    deviations: dict[str, float]

    @staticmethod
    def of(bars: np.ndarray, kit: Kit) -> Reference:
        """The reference that these bars (n, steps, parts) bool make; features that the grid has not are left out.

        Raises:
            ValueError: no bars, or a shape that does not fit the kit.
        """
        if not len(bars):
            raise ValueError("there are no bars to measure")
        measure(bars[:1], kit, ["density"])  # a shape that does not fit is no matter of the grid
        found: dict[str, np.ndarray] = {}
        for name in FEATURES:
            try:
                measure(bars[:1], kit, [name])
            except ValueError:
                continue
            found[name] = measure(bars, kit, [name])[name].double().numpy()
        shares = np.linspace(0, 1, _GRID)
        return Reference(
            kit,
            bars.shape[1],
            len(bars),
            {
                name: np.quantile(values, shares, method="inverted_cdf").astype(np.float32)
                for name, values in found.items()
            },
            {name: float(values.mean()) for name, values in found.items()},
            {name: float(values.std()) for name, values in found.items()},
        )

    def percentile(self, name: str, values: np.ndarray | float) -> np.ndarray:
        """How many percent of the real bars are below these values, half of those that are equal counted in: 0 … 100.

        Exact to a tenth of a percent. NaN stays NaN.

        Raises:
            ValueError: a feature that the reference has not.
        """
        grid = self._quantiles(name)
        values = np.asarray(values, np.float32)
        ranks = np.searchsorted(grid, values, "left") + np.searchsorted(grid, values, "right")
        return np.where(np.isnan(values), np.nan, 50 * ranks / _GRID)

    def value(self, name: str, percentiles: np.ndarray | float) -> np.ndarray:
        """The values that these percentiles (0 … 100) of the real bars have: float32.

        Raises:
            ValueError: a feature that the reference has not, or a percentile out of range.
        """
        percentiles = np.asarray(percentiles, np.float64)
        if not ((percentiles >= 0) & (percentiles <= 100)).all():
            raise ValueError(f"percentiles lie in 0 … 100, not {percentiles}")
        return self._quantiles(name)[np.rint(percentiles / 100 * (_GRID - 1)).astype(int)]

    def _quantiles(self, name: str) -> np.ndarray:
        check_feature(name)
        if name not in self.quantiles:
            raise ValueError(f"{name} is not defined on {self.steps} steps")
        return self.quantiles[name]

    def to_markdown(self, among: Reference | None = None) -> str:
        """A table of the features: mean, standard deviation and five percentiles.

        Args:
            among: real bars, of which the percentile of each mean is shown; only those of the same kit and grid.
        """
        among = among if among and (among.kit, among.steps) == (self.kit, self.steps) else None
        shares = (5, 25, 50, 75, 95)
        heads = ["mean", "sd", *(f"{share} %" for share in shares), "zero", *(["mean is over"] if among else [])]
        lines = [f"| {self.n_bars:,} bars | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
        for name, grid in self.quantiles.items():
            numbers = [self.means[name], self.deviations[name], *self.value(name, np.array(shares))]
            zero = (np.searchsorted(grid, 0, "right") - np.searchsorted(grid, 0, "left")) / _GRID
            cells = [f"{number:.4g}" for number in numbers] + [f"{zero:.0%}"]
            if among:
                cells.append(f"{among.percentile(name, self.means[name]):.0f} % of real bars")
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join(lines)


def save_reference(path: str | os.PathLike[str], reference: Reference) -> None:
    """Write a reference as a safetensors file, whole or not at all."""
    from safetensors.numpy import save

    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "kit": reference.kit.name,
        "steps": str(reference.steps),
        "n_bars": str(reference.n_bars),
        "means": json.dumps(reference.means),
        "deviations": json.dumps(reference.deviations),
    }
    write_whole(path, sort_safetensors_metadata(save(reference.quantiles, metadata)))


def load_reference(path: str | os.PathLike[str] | None = None) -> Reference:
    """Read a reference; by default that of the bundled weights' training bars. Runs no code of the file.

    Raises:
        ValueError: no reference, one of another version, or a damaged one.
        OSError: it cannot be opened.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(__file__).parent / "weights" / FILE_NAME if path is None else path
    with open(path, "rb"):  # safetensors' own errors for a missing or unreadable file name no path
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            quantiles = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        if (metadata.get("format"), metadata.get("version")) != (FORMAT, str(VERSION)):
            raise ValueError("it has another format or version")
        means, deviations = (json.loads(metadata[name]) for name in ("means", "deviations"))
        names = [name for name in FEATURES if name in quantiles]
        if not names:
            raise ValueError("it has no feature that we know")
        reference = Reference(
            kit_named(metadata["kit"]),
            check_steps(int(metadata["steps"])),
            int(metadata["n_bars"]),
            {name: quantiles[name] for name in names},
            {name: float(means[name]) for name in names},
            {name: float(deviations[name]) for name in names},
        )
        for grid in reference.quantiles.values():
            if grid.shape != (_GRID,) or grid.dtype != np.float32 or not np.isfinite(grid).all():
                raise ValueError(f"its quantiles are not {_GRID} finite float32 each")
            if not (np.diff(grid) >= 0).all():
                raise ValueError("its quantiles do not rise")
        numbers = [*reference.means.values(), *reference.deviations.values()]
        if reference.n_bars < 1 or not np.isfinite(numbers).all():
            raise ValueError("its counts, means or deviations are none")
    except (SafetensorError, LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path}: not a reference of features: {error}") from None
    return reference


def load_reference_for(weights: str | os.PathLike[str] | None = None) -> Reference:
    """The reference of the bars that the model of a weights file was trained on: the one in the file's folder.

    Args:
        weights: a weights file; the bundled ones by default.

    Raises:
        ValueError: there is no ``reference.safetensors`` beside the weights, it is damaged or measures bars of another
            kit or grid; or the file holds no weights of a model of bars.
        OSError: one of them cannot be opened.
    """
    if weights is None:
        return load_reference()
    metadata = read_safetensors_metadata(weights)
    try:
        config = json.loads(metadata["config"])
        kit, steps = config["kit"], config["steps"]
    except (LookupError, TypeError, ValueError, RecursionError):
        raise ValueError(f"{weights}: holds no weights of a model of bars") from None
    path = Path(weights).parent / FILE_NAME
    how = f"`rhythmgan features CORPUS --split train --reference {path}` makes it of their training songs"
    if not path.exists():
        raise ValueError(f"{weights}: these weights have no reference to take percentiles from; {how}")
    reference = load_reference(path)
    if (reference.kit.name, reference.steps) != (kit, steps):
        raise ValueError(
            f"{path}: measures bars of kit {reference.kit.name} and {reference.steps} steps, "
            f"{weights} makes bars of {kit} and {steps} steps; {how}"
        )
    return reference
