"""What real bars measure: from a raw value to "denser than 80 % of real bars", and back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rhythmgan.bars import check_steps, words_to_bars
from rhythmgan.data import Corpus
from rhythmgan.features import FEATURES, check_feature, features_of_grid, measure
from rhythmgan.files import write_whole
from rhythmgan.inputs import open_input, parse_json_object
from rhythmgan.kit import Kit, kit_named
from rhythmgan.roles import ROLES
from rhythmgan.tensor_file import read_tensor_metadata, sort_metadata

FORMAT = "rhythmgan.reference"
VERSION = 2

FILE_NAME = "reference.safetensors"
"""What a file of references is called in the folder of the weights that it belongs to."""

ANY_ROLE = "any"

KINDS = {
    "distinct": "each song's distinct bars, each once",
    "as_played": "each song weighs the same, and in it each bar as often as it is played",
}
"""How the bars of a reference count."""

_GRID = 1001
"""Quantiles that are kept of each feature: every tenth of a percent."""

_ROUNDING = 1e-9
"""Shares are sums of many weights: one that is this near to a quantile reaches it."""


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
        kind: how the bars count, one of ``KINDS``.
        role: that all of them have, or "any".
    """

    kit: Kit
    steps: int
    n_bars: int
    quantiles: dict[str, np.ndarray]
    means: dict[str, float]
    deviations: dict[str, float]
    kind: str = "distinct"
    role: str = ANY_ROLE

    @staticmethod
    def of(
        bars: np.ndarray,
        kit: Kit,
        weights: np.ndarray | None = None,
        *,
        kind: str = "distinct",
        role: str = ANY_ROLE,
    ) -> Reference:
        """The reference that these bars (n, steps, parts) bool make; features that the grid has not are left out.

        Args:
            bars: the bars.
            kit: what the parts are.
            weights: (n,) how much each bar counts, at least one above 0; all alike by default.
            kind, role: what the bars are.

        Raises:
            ValueError: no bars, a shape that does not fit the kit, weights that do not fit, an unknown kind or role.
        """
        if not len(bars):
            raise ValueError("there are no bars to measure")
        return _reference(_measured(bars, kit), kit, bars.shape[1], weights, kind, role, len(bars))

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


# --- Making references -------------------------------------------------------------------------------


def references_of(corpus: Corpus) -> list[Reference]:
    """The references of the bars of a corpus: distinct and as played, for any role and for each that there is.

    Bars are measured once, for all of them; without bars there are none.
    """
    if not len(corpus):
        return []
    used, first = np.unique(corpus.bar_id, return_index=True)
    measured = _measured(words_to_bars(corpus.only(first).words, corpus.kit.n_parts), corpus.kit)
    found = []
    for role in (ANY_ROLE, *ROLES):
        chosen = corpus.with_role(role)
        if not len(chosen):
            continue
        distinct, weights = chosen.distinct_with_weights()
        rows = np.searchsorted(used, distinct.bar_id)
        values = {name: column[rows] for name, column in measured.items()}
        for kind, chances, n_bars in (("distinct", None, len(distinct)), ("as_played", weights, len(chosen))):
            found.append(_reference(values, corpus.kit, corpus.steps, chances, kind, role, n_bars))
    return found


def _measured(bars: np.ndarray, kit: Kit) -> dict[str, np.ndarray]:
    """The features that the grid of bars (n, steps, parts) bool has: name → (n,) float64."""
    measure(bars[:1], kit, ["density"])  # a shape that does not fit is said before the grid is looked at
    names = features_of_grid(bars.shape[1], kit)
    return {name: values.double().numpy() for name, values in measure(bars, kit, names).items()}


def _reference(
    values: Mapping[str, np.ndarray],
    kit: Kit,
    steps: int,
    weights: np.ndarray | None,
    kind: str,
    role: str,
    n_bars: int,
) -> Reference:
    quantiles, means, deviations = {}, {}, {}
    for name, column in values.items():
        chances = _chances(weights, len(column))
        quantiles[name] = _inverted_cdf(column, chances).astype(np.float32)
        means[name] = float(np.average(column, weights=chances))
        deviations[name] = float(np.sqrt(np.average((column - means[name]) ** 2, weights=chances)))
    return Reference(kit, steps, n_bars, quantiles, means, deviations, _check_kind(kind), _check_role(role))


def _chances(weights: np.ndarray | None, n: int) -> np.ndarray:
    if weights is None:
        return np.full(n, 1 / n)
    weights = np.asarray(weights, np.float64)
    if weights.shape != (n,) or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ValueError(f"weights are {n} numbers that are not negative, one for each bar, and not all 0")
    return weights / weights.sum()


def _inverted_cdf(values: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """The least value that is reached by each tenth of a percent of the chances: (1001,)."""
    rows = np.flatnonzero(chances)
    rows = rows[np.argsort(values[rows], kind="stable")]
    reached = np.searchsorted(np.cumsum(chances[rows]), np.linspace(0, 1, _GRID) - _ROUNDING)
    return values[rows[np.minimum(reached, len(rows) - 1)]]


def _check_kind(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"a reference is one of {', '.join(KINDS)}; not {kind!r}")
    return kind


def _check_role(role: str) -> str:
    if role != ANY_ROLE and role not in ROLES:
        raise ValueError(f"a role is one of {', '.join(ROLES)}, {ANY_ROLE}; not {role!r}")
    return role


# --- Files -------------------------------------------------------------------------------------------


def save_reference(path: str | os.PathLike[str], *references: Reference) -> None:
    """Write references as one safetensors file, whole or not at all.

    Each feature of each is a tensor (k, 2) float32, as ``gm9/distinct/any/16/density``: its k different values, rising,
    and how many of the 1001 quantiles each of them is.

    Args:
        path: the file.
        references: the first is the one that ``load_reference`` gives by default.

    Raises:
        ValueError: none, or two of the same kind, role, grid and kit.
    """
    from safetensors.numpy import save

    tensors: dict[str, np.ndarray] = {}
    facts: dict[str, dict[str, Any]] = {}
    for each in references:
        key = reference_key(each.kit.name, each.kind, each.role, each.steps)
        if key in facts:
            raise ValueError(f"there are two references {key}")
        facts[key] = {"n_bars": each.n_bars, "means": each.means, "deviations": each.deviations}
        for name, grid in each.quantiles.items():
            tensors[f"{key}/{name}"] = np.stack(np.unique(grid, return_counts=True), 1).astype(np.float32)
    if not references:
        raise ValueError("there is no reference to write")
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "kit": references[0].kit.name,
        "steps": str(references[0].steps),
        "references": json.dumps(facts),
    }
    write_whole(path, sort_metadata(save(tensors, metadata)), durable=True)


def reference_key(kit: str, kind: str, role: str, steps: int) -> str:
    """How a file of references names one of them."""
    return f"{kit}/{kind}/{role}/{steps}"


def _listed(keys: Iterable[str]) -> str:
    keys = list(keys)
    return ", ".join(keys[:8]) + (f" and {len(keys) - 8} more" if len(keys) > 8 else "")


def load_reference(
    path: str | os.PathLike[str] | None = None,
    reference: str = "distinct",
    role: str = ANY_ROLE,
    steps: int | None = None,
    kit: Kit | None = None,
) -> Reference:
    """Read a reference out of a file of them. Runs no code of the file, and takes no more memory than its bytes.

    Args:
        path: the file; by default the one that ships with the bundled weights.
        reference: how bars count, one of ``KINDS``.
        role: "groove", "variation", "fill" or "any".
        steps: the grid; by default that of the models that the file belongs to.
        kit: by default that of these models.

    Raises:
        ValueError: no file of references, one of another version, a damaged one, or one without this reference.
        OSError: it cannot be opened.
    """
    _check_kind(reference)
    _check_role(role)
    with _opened(path) as (file, metadata, facts):
        grid = metadata["steps"] if steps is None else steps
        key = reference_key(metadata["kit"] if kit is None else kit.name, reference, role, int(grid))
        if key in facts:
            return _read(file, key, facts[key])
    raise ValueError(f"{path or _bundled()}: holds no reference {key}; it holds {_listed(facts)}")


def saved_references(path: str | os.PathLike[str] | None = None) -> dict[str, int]:
    """What references a file holds, as kit/kind/role/steps: how many bars each was made of.

    Raises:
        ValueError, OSError: as ``load_reference``.
    """
    with _opened(path) as (_, _, facts):
        return {key: int(fact["n_bars"]) for key, fact in facts.items()}


@contextmanager
def _opened(path: str | os.PathLike[str] | None) -> Iterator[tuple[Any, dict[str, str], dict[str, Any]]]:
    """The tensors, the metadata and the facts of a file of references; damage is named with the path."""
    from safetensors import SafetensorError, safe_open

    path = _bundled() if path is None else path
    with open_input(path):  # safetensors waits for pipes, and its own errors for an unreadable file name no path
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            yield file, metadata, _facts(metadata)
    except (SafetensorError, LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path}: not a reference of features: {error}") from None


def _bundled() -> Path:
    return Path(__file__).parent / "weights" / FILE_NAME


def _facts(metadata: Mapping[str, str]) -> dict[str, Any]:
    if metadata.get("format") != FORMAT:
        raise ValueError("it has another format")
    if metadata.get("version") != str(VERSION):
        raise ValueError(
            f"it is of version {metadata.get('version')}, this release reads version {VERSION}; "
            "`rhythmgan features` makes it anew"
        )
    facts = parse_json_object(metadata["references"])
    places = set()
    for key in facts:
        kit, kind, role, steps = key.split("/")
        _check_kind(kind)
        _check_role(role)
        places.add((kit, steps))
    if (metadata["kit"], metadata["steps"]) not in places:
        raise ValueError(f"it holds none of kit {metadata['kit']} and {metadata['steps']} steps, as it says")
    return facts


def _read(file: Any, key: str, facts: Mapping[str, Any]) -> Reference:
    """One reference of an open file.

    Raises:
        ValueError, LookupError, TypeError: it is damaged.
    """
    kit, kind, role, steps = key.split("/")
    tensors = {name: file.get_tensor(f"{key}/{name}") for name in facts["means"]}
    names = [name for name in FEATURES if name in tensors]
    if not names:
        raise ValueError("it has no feature that we know")
    reference = Reference(
        kit_named(kit),
        check_steps(int(steps)),
        int(facts["n_bars"]),
        {name: _expanded(tensors[name]) for name in names},
        {name: float(facts["means"][name]) for name in names},
        {name: float(facts["deviations"][name]) for name in names},
        kind,
        role,
    )
    numbers = [*reference.means.values(), *reference.deviations.values()]
    if reference.n_bars < 1 or not np.isfinite(numbers).all():
        raise ValueError("its counts, means or deviations are none")
    return reference


def _expanded(tensor: np.ndarray) -> np.ndarray:
    """The quantiles (1001,) float32 of a tensor of values and counts; see ``save_reference``."""
    if tensor.ndim != 2 or tensor.shape[1] != 2 or tensor.dtype != np.float32 or not np.isfinite(tensor).all():
        raise ValueError("its quantiles are not pairs of finite float32")
    values, counts = tensor.T
    if (np.diff(values) <= 0).any():
        raise ValueError("its quantiles do not rise")
    if (counts < 1).any() or (counts % 1).any() or counts.sum() != _GRID:
        raise ValueError(f"its quantiles are not {_GRID}")
    return np.repeat(values, counts.astype(int))


def load_reference_for(
    weights: str | os.PathLike[str] | None = None, reference: str = "distinct", role: str = ANY_ROLE
) -> Reference:
    """The reference of the kit and grid of the model of a weights file: out of the file in the weights' folder.

    Args:
        weights: a weights file; the bundled ones by default.
        reference, role: as ``load_reference``.

    Raises:
        ValueError: there is no ``reference.safetensors`` beside the weights, it is damaged or measures only bars of
            another kit or grid; or the file holds no weights of a model of bars.
        OSError: one of them cannot be opened.
    """
    if weights is None:
        return load_reference(None, reference, role)
    metadata = read_tensor_metadata(weights)
    try:
        config = json.loads(metadata["config"])
        kit, steps = kit_named(config["kit"]), check_steps(int(config["steps"]))
    except (LookupError, TypeError, ValueError, RecursionError):
        raise ValueError(f"{weights}: holds no weights of a model of bars") from None
    path = Path(weights).parent / FILE_NAME
    command = f"rhythmgan features CORPUS --split train --kit {kit.name} --grid {steps} --reference {path}"
    how = f"`{command}` makes it of their training songs"
    if not path.exists():
        raise ValueError(f"{weights}: these weights have no reference to take percentiles from; {how}")
    held = saved_references(path)
    if (key := reference_key(kit.name, reference, role, steps)) not in held:
        raise ValueError(f"{path}: holds no reference {key} for {weights}; it holds {_listed(held)}; {how}")
    return load_reference(path, reference, role, steps, kit)
