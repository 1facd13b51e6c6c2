"""Folders of samples: the bars or phrases of seeds, all or those that fit, in any formats and in several kits."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np

from rhythmgan.bars import bars_to_words, fold_bars
from rhythmgan.conditions import ANY
from rhythmgan.data import digest
from rhythmgan.export import (
    FilePerLoop,
    Format,
    Loops,
    OneFile,
    check_encodable,
    check_length,
    exporting,
    formats_named,
)
from rhythmgan.features import measure
from rhythmgan.files import make_folder, whole_file
from rhythmgan.generate.config import SampleConfig
from rhythmgan.generate.phrases import phrases
from rhythmgan.generate.selection import Criterion, Search, Selection, View, parse_criteria
from rhythmgan.inputs import read_json_object, shown
from rhythmgan.kit import Kit
from rhythmgan.load import SAMPLE_OPTIONS
from rhythmgan.locks import locked_folder
from rhythmgan.models.interfaces import LatentModel, PhrasePrior, PhraseSampler
from rhythmgan.performance import PLAIN, Performance, Playback
from rhythmgan.seeds import MAX_SEED

_CHUNK = 1024
"""Bars that are in memory at a time."""

_PATIENCE = 5.0
"""Seconds in which another call has long written its note; who has the folder for longer does something else there."""

_FEW = 64
"""Bars that are tried first: one that many bars fit needs no more."""


@dataclass(frozen=True)
class ExportedSamples:
    """What was written into a folder.

    Attributes:
        config: what was asked for.
        kits: what the bars were folded into.
        bars: of the first ``n_first`` seeds (n_first, bars, steps, parts), in the first kit.
        seeds: (n,) int64, rising: the seeds of the bars or phrases that the folder has.
        tried: seeds that were tried, from the first one to the last of these.
        were_there: how many bars or phrases an earlier call had written: their own files, or the file of all.
    """

    config: SampleConfig
    kits: tuple[Kit, ...]
    bars: np.ndarray
    seeds: np.ndarray
    tried: int
    were_there: int

    @property
    def folders(self) -> tuple[str, ...]:
        """Of each kit, below the folder; "" for the folder itself."""
        return _folder_names(self.kits)

    def files(self, n_seeds: int | None = None) -> dict[str, list[str]]:
        """Name of each format → names of its files below the folder, of the first seeds or of all."""
        seeds = self.seeds[:n_seeds].tolist()
        return {
            form.name: [
                str(PurePosixPath(folder, name)) for folder in self.folders for name in _files(self.config, form, seeds)
            ]
            for form in formats_named(self.config.formats)
        }


def seed_name(seed: int) -> str:
    """What the files of a seed's bar or phrase are called, without a suffix."""
    return f"seed-{seed:06d}"


def stem_of_all(config: SampleConfig, n: int) -> str:
    """What one file for n bars or phrases is called, without a suffix.

    Those of all seeds: ``seeds-000003-000007``. Those that fit, from seed 3 on: ``seeds-000003-first-5``.
    """
    end = f"first-{n}" if config.selects else f"{config.seed + n - 1:06d}"
    return f"seeds-{config.seed:06d}-{end}"


def _folder_names(kits: Sequence[Kit]) -> tuple[str, ...]:
    """Each of several kits has a folder of its own."""
    return tuple(kit.name for kit in kits) if len(kits) > 1 else ("",)


def _files(config: SampleConfig, form: Format, seeds: Iterable[int]) -> list[str]:
    """The files of a format: those of the seeds, or the one of all."""
    stems = map(seed_name, seeds) if isinstance(form, FilePerLoop) else [stem_of_all(config, config.n)]
    return [f"{stem}.{form.suffix}" for stem in stems]


def export_samples(
    model: LatentModel | PhraseSampler,
    config: SampleConfig,
    out: str | os.PathLike[str],
    *,
    playback: Playback = PLAIN,
    kits: Sequence[Kit] = (),
    prior: PhrasePrior | None = None,
    given: Performance | None = None,
    n_first: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ExportedSamples:
    """Write bars or phrases into a folder; files of an earlier, interrupted call are kept as they are.

    Every bar is drawn once, for all formats and kits. A file for each seed is called ``seed-000003.mid``, one for all
    as ``stem_of_all`` says. The .npz file has ``bars`` (rows, steps, parts) bool, ``seed`` (rows,) and, but of models
    of whole phrases, ``z`` (rows, latent_dim), the bars of a phrase in rows one after the other; behind a loop that is
    given also ``velocities`` and ``offsets``. Each of several kits has a folder of its name in the folder.

    Where the config selects, seeds are tried one after the other from ``config.seed`` on, and the first n are taken
    that ``Selection`` takes: of the bars as they are written, in every kit. A larger n takes these and more. They are
    tried again when a call is resumed, so what is taken is the same.

    Calls of the same options may write into one folder at the same time, such as those of other seeds. Of calls of
    other options the one that begins first has it.

    Args:
        model: makes the bars.
        config: what to sample, and in which formats.
        out: a folder, created if missing.
        playback: tempo and swing of MIDI and WAV files.
        kits: what the bars are folded into; that of the model by default.
        prior: picks the bars of a phrase; needed for phrases of a model of single bars.
        given: a loop that every phrase begins with, as it is played, of a model that makes whole phrases.
        n_first: of how many seeds the bars are wanted back, from the first on.
        progress: called with (bars or phrases done, in all) after every chunk.

    Returns:
        The first bars, and what was written.

    Raises:
        ValueError: an option or a format that does not fit, or ``out`` holds samples of other options, or somebody
            else's; or fewer than n were found, which are written all the same.
        OSError: the folder cannot be written, or the disk is full.
    """
    if not os.fspath(out):  # a Path of it would be the folder that we are in
        raise ValueError("the name of the output folder is empty")
    formats = formats_named(config.formats)
    check_length(config.bars, formats, playback)
    criteria = criteria_of(config, model)
    draw = _draw(model, config, prior, given)
    kits = tuple(dict.fromkeys(kits)) or (model.kit,)
    folders = [_Folder(Path(out, name), config, formats) for name in _folder_names(kits)]
    options = [_options(draw, playback, kits, kit) for kit in kits]
    for each, own in zip(folders, options, strict=True):
        _check_note(each.path, own)
    search = Search(config.seed, config.n, config.tries)
    if config.selects:
        if given is not None:
            _check_given(given, criteria, kits)
        chunks = _selected(draw, kits, Selection(criteria, config.unique), search)
    else:
        chunks = _unfinished(draw, folders, n_first)
    first: list[np.ndarray] = []
    seeds = [np.zeros(0, np.int64)]
    were_there = 0
    with ExitStack() as files:
        adding: list[Callable[[Loops], None]] = []
        for chunk, drawn in chunks:
            if drawn is not None:
                batches = [drawn.loops(model.kit, kit) for kit in kits]
                if not adding:
                    for each, loops in zip(folders, batches, strict=True):
                        check_encodable(loops, each.unfinished, playback)
                    _write_notes([each.path for each in folders], options)
                    adding.extend(files.enter_context(each.exporting(playback)) for each in folders)
                for add, loops in zip(adding, batches, strict=True):
                    add(loops)
                first.extend(batches[0].performances.bars[: max(n_first - len(first), 0)])
            seeds.append(chunk)
            were_there += sum(all(each.has(seed) for each in folders) for seed in chunk.tolist())
            if progress:
                progress(sum(map(len, seeds)), config.n)
    found = np.concatenate(seeds)
    if len(found) < config.n:
        for each in folders:
            each.rename_files_of_all(len(found))
        raise ValueError(_too_few(search, config, criteria))
    tried = search.tried if config.selects else config.n
    return ExportedSamples(config, kits, np.array(first, bool), found, tried, were_there)


def criteria_of(config: SampleConfig, model: LatentModel | PhraseSampler) -> tuple[Criterion, ...]:
    """What the bars have to meet.

    Raises:
        ValueError: ``where`` cannot be read, or asks for a feature that the model's grid has not.
    """
    criteria = parse_criteria(config.where)
    if config.min_onsets > (n_cells := model.steps * model.kit.n_parts):
        raise ValueError(f"a bar of {model.kit.name} has at most {n_cells} onsets, not {config.min_onsets}")
    if config.min_onsets:
        criteria += (Criterion("density", ">=", config.min_onsets),)
    measure(np.zeros((1, model.steps, model.kit.n_parts), bool), model.kit, [each.feature for each in criteria])
    return criteria


def _check_given(given: Performance, criteria: Sequence[Criterion], kits: Sequence[Kit]) -> None:
    """Raise a ValueError where the loop that every phrase begins with does not meet the criteria: none would."""
    for kit in kits:
        bars = given.bars if kit == given.kit else given.folded(kit).bars
        meets = Selection(criteria, unique=False).take([View(bars[:, None], kit)])
        if not meets.all():
            raise ValueError(
                f"bar {int(np.argmin(meets)) + 1} of the loop that is given does not meet "
                f"{' and '.join(map(str, criteria))}, so no phrase would"
            )


def _too_few(search: Search, config: SampleConfig, criteria: Sequence[Criterion]) -> str:
    """What is said where fewer bars were found than were asked for."""
    kind = "bar" if config.bars == 1 else "phrase"
    wanted = " and ".join([*map(str, criteria), *(["new cells"] if config.unique else [])])
    return (
        f"{search.found:,} of {config.n:,} {kind}s were found: none of the {search.in_vain:,} seeds from "
        f"{search.last + 1} on has a {kind} with {wanted}; ask for fewer or for less, or raise --tries"
    )


# --- Bars of seeds -----------------------------------------------------------------------------------


class _Draw(Protocol):
    """What seeds are turned into."""

    @property
    def model(self) -> LatentModel | PhraseSampler:
        """Makes the bars."""

    @property
    def config(self) -> SampleConfig:
        """Says how."""

    def of(self, seeds: Sequence[int]) -> _Drawn:
        """The bars or phrases of these seeds, each drawn once."""

    def options(self) -> dict[str, object]:
        """What else than the config makes the bars, as the options are called on the command line."""


def _draw(
    model: LatentModel | PhraseSampler, config: SampleConfig, prior: PhrasePrior | None, given: Performance | None
) -> _Draw:
    """How a model's bars or phrases are drawn.

    Raises:
        ValueError: the model makes no phrases of this kind.
    """
    if isinstance(model, PhraseSampler):
        return _DrawPhrases(model, config, given)
    if given is not None:
        raise ValueError("a model of single bars does not go on from bars that are given")
    if config.bars > 1 and prior is None:
        raise ValueError("phrases need a prior, to say which bar may follow which")
    return _DrawBars(model, config, prior if config.bars > 1 else None)


@dataclass(frozen=True)
class _DrawPhrases:
    """Phrases of a model that makes all of their bars.

    Attributes:
        model: makes the phrases.
        config: says how.
        given: a loop that they begin with, as it is played.

    Raises:
        ValueError: phrases that the model does not make, or a loop of which no phrase can be taken.
    """

    model: PhraseSampler
    config: SampleConfig
    given: Performance | None

    def __post_init__(self) -> None:
        most, n_bars = self.model.max_bars, self.config.bars
        if most is not None and n_bars > most:
            raise ValueError(f"this model makes phrases of up to {most} bars, not of {n_bars}")
        if self.given is not None and len(self.given.bars) >= n_bars:
            raise ValueError(
                f"the loop that is given is as long as the phrases or longer ({len(self.given.bars)} and {n_bars} "
                "bars): ask for more bars"
            )
        if self.config.fill != SampleConfig.fill:
            raise ValueError("this model cannot be told where fills are")

    def of(self, seeds: Sequence[int]) -> _Drawn:
        drawn = np.array(seeds, np.int64)
        given = None if self.given is None else self.given.bars
        return _Drawn(
            drawn,
            self.model.phrases(drawn, self.config.bars, self.config.temperature, given),
            given=self.given,
        )

    def options(self) -> dict[str, object]:
        if self.given is None:
            return {"given": None}
        played = self.given.velocities, np.rint(self.given.offsets * 256).astype(np.int16)
        return {"given": digest(bars_to_words(self.given.bars), *played)[:16]}


@dataclass(frozen=True)
class _DrawBars:
    """Bars of a model of single bars, and phrases that a prior makes of them.

    Attributes:
        model: makes the bars.
        config: says how.
        prior: picks the bars of a phrase; None for single bars.
    """

    model: LatentModel
    config: SampleConfig
    prior: PhrasePrior | None

    def of(self, seeds: Sequence[int]) -> _Drawn:
        """The bars or phrases of these seeds, each drawn once."""
        if self.prior is not None:
            bars, z = phrases(
                self.model, self.prior, seeds, self.config.bars, self.config.temperature, self.config.fill
            )
        else:
            z, bars = (each[:, None] for each in self.model.draw(seeds, self.config.temperature))
        return _Drawn(np.array(seeds, np.int64), bars, z)

    def options(self) -> dict[str, object]:
        return {
            "fill": self.config.fill if self.config.bars > 1 else None,
            "role": self.model.condition.role,
            "style": self.model.condition.style,
            "prior": self.prior.fingerprint if self.prior else None,
        }


@dataclass(frozen=True)
class _Drawn:
    """Bars or phrases of seeds.

    Attributes:
        seeds: (n,) int64.
        bars: (n, bars, steps, parts) bool, in the model's kit.
        z: (n, bars, latent_dim) float32, a point of each bar; None of a model that makes whole phrases.
        given: a loop that all begin with, as it is played.
    """

    seeds: np.ndarray
    bars: np.ndarray
    z: np.ndarray | None = None
    given: Performance | None = None

    def only(self, places: np.ndarray) -> _Drawn:
        """Those at these places."""
        z = None if self.z is None else self.z[places]
        return _Drawn(self.seeds[places], self.bars[places], z, self.given)

    def loops(self, own: Kit, kit: Kit) -> Loops:
        """What is exported of them, folded from their own kit into this one."""
        bars = fold_bars(self.bars, own, kit)
        seeds, n_bars = self.seeds.tolist(), bars.shape[1]
        performances = self._performances(bars, own, kit)
        arrays = {"bars": bars, "seed": np.repeat(self.seeds[:, None], n_bars, 1)}
        if self.z is not None:
            arrays["z"] = self.z
        if self.given is not None:
            arrays |= {"velocities": performances.velocities, "offsets": performances.offsets}
        return Loops(
            names=[seed_name(seed) for seed in seeds],
            performances=performances,
            key="seed",
            labels=seeds,
            titles=[f"seed {seed}" for seed in seeds],
            arrays={name: array.reshape(-1, *array.shape[2:]) for name, array in arrays.items()},
            columns=n_bars if 1 < n_bars <= 8 else None,  # a row is a phrase, where it is not too long
        )

    def _performances(self, bars: np.ndarray, own: Kit, kit: Kit) -> Performance:
        """The bars (n, bars, steps, parts) with accents; those of the loop that is given as it is played."""
        performances = Performance.of(bars, kit)
        if self.given is None:
            return performances
        given = self.given if kit == own else self.given.folded(kit)
        velocities, offsets = performances.velocities.copy(), performances.offsets.copy()
        velocities[:, : len(given.bars)], offsets[:, : len(given.bars)] = given.velocities, given.offsets
        return Performance(bars, velocities, offsets, kit)


def _unfinished(draw: _Draw, folders: Sequence[_Folder], n_first: int) -> Iterator[tuple[np.ndarray, _Drawn | None]]:
    """All seeds, some at a time, and the bars of the first ones and of those that a file is missing of."""
    config = draw.config
    size, end = max(1, _CHUNK // config.bars), config.seed + config.n
    for start in range(config.seed, end, size):
        seeds = range(start, min(start + size, end))
        drawn = [
            seed
            for seed in seeds
            if seed < config.seed + n_first or any(folder.lacks(seed, seed - config.seed) for folder in folders)
        ]
        yield np.array(seeds, np.int64), draw.of(drawn) if drawn else None


def _selected(
    draw: _Draw, kits: Sequence[Kit], selection: Selection, search: Search
) -> Iterator[tuple[np.ndarray, _Drawn | None]]:
    """The seeds that are taken, some at a time, and their bars."""
    own, most = draw.model.kit, max(1, _CHUNK // draw.config.bars)
    start, size = draw.config.seed, min(_FEW, most)
    while not search.is_over and start <= MAX_SEED:
        seeds = range(start, min(start + size, MAX_SEED + 1))
        drawn = draw.of(seeds)
        places = search.take(seeds, selection.take([View(fold_bars(drawn.bars, own, kit), kit) for kit in kits]))
        taken = drawn.only(places)
        yield taken.seeds, taken if len(places) else None
        start, size = seeds.stop, min(2 * size, most)


# --- Folders -----------------------------------------------------------------------------------------


class _Folder:
    """A folder of samples in one kit, and what an earlier call left there."""

    def __init__(self, path: Path, config: SampleConfig, formats: Sequence[Format]) -> None:
        self.path = path
        self._config = config
        self._here = _samples_in(path)
        self._own = [form for form in formats if isinstance(form, FilePerLoop)]
        # a file for each seed may be missing anywhere; one for all is whole or not there
        self._of_all = [form for form in formats if isinstance(form, OneFile) and not self._has(form)]

    @property
    def unfinished(self) -> list[Format]:
        """The formats that files may be missing of."""
        return [*self._own, *self._of_all]

    def _has(self, form: Format, seed: int = 0) -> bool:
        return set(_files(self._config, form, [seed])) <= self._here

    def has(self, seed: int) -> bool:
        """Whether the seed's own files were there, or those of all where it is to have none."""
        return all(self._has(form, seed) for form in self._own) if self._own else not self._of_all

    def lacks(self, seed: int, place: int) -> bool:
        """Whether a file is missing that the bars of a seed belong to, at this place among all."""
        n_before = place * self._config.bars
        if any(form.most_bars is None or n_before < form.most_bars for form in self._of_all):
            return True
        return not all(self._has(form, seed) for form in self._own)

    def exporting(self, playback: Playback) -> AbstractContextManager[Callable[[Loops], None]]:
        """See ``export.exporting``."""
        stem = stem_of_all(self._config, self._config.n)
        return exporting(self.path, self.unfinished, playback, stem=stem, kept=self._here)

    def rename_files_of_all(self, n: int) -> None:
        """Call the files for all that were written what they are: of n, not of as many as were asked for."""
        for form in self._of_all if n else ():
            asked, found = (self.path / f"{stem_of_all(self._config, of)}.{form.suffix}" for of in (self._config.n, n))
            with suppress(FileNotFoundError):  # the same call beside this one was first
                os.replace(asked, found)


_OURS = re.compile(r"seeds?-\d{6,}(-(\d{6,}|first-\d+))?\.[a-z.]+")
"""The names of files of samples, in every format."""


def _samples_in(folder: Path) -> set[str]:
    """The names of the samples in a folder, but for empty files: those are left of a power loss.

    Raises:
        ValueError: something else than a file has the name of one, or they are somebody else's: whoever writes samples
            writes a note before them.
    """
    if not folder.is_dir():
        return set()
    names = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if not _OURS.fullmatch(entry.name):
                continue
            if not entry.is_file():
                raise ValueError(f"{folder} holds {entry.name}, which is no file: choose another folder")
            with suppress(FileNotFoundError):  # the same call beside this one has renamed it
                if entry.stat().st_size:
                    names.add(entry.name)
    if names and not (folder / SAMPLE_OPTIONS).exists():
        raise ValueError(
            f"{folder} holds {min(names)}, but no {SAMPLE_OPTIONS} of an earlier call: choose another folder"
        )
    return names


def _options(draw: _Draw, playback: Playback, kits: Sequence[Kit], kit: Kit) -> dict[str, object]:
    """What makes the files, apart from how many and where: as the options are called on the command line.

    Which bars are taken depends on all kits, and where each is taken once on the first seed.
    """
    config, own = draw.config, draw.options()
    options: dict[str, object] = {
        "bars": config.bars,
        "fill": own.pop("fill", None),
        "temperature": config.temperature,
        "role": own.pop("role", None),
        "style": own.pop("style", None),
        "unique": config.unique,
        "min-onsets": config.min_onsets,
        "where": list(map(str, parse_criteria(config.where))),
        "bpm": playback.bpm,
        "swing": playback.swing,
        "kit": ",".join(each.name for each in kits) if config.selects else kit.name,
        "weights": draw.model.fingerprint,
        "prior": own.pop("prior", None),
    }
    return options | own | ({"seed": config.seed} if config.unique else {})


_ANY = {"role": ANY, "style": ANY, "unique": False, "min-onsets": 0, "where": []}
"""What a note means that does not say what was asked for, as those of release 0.1.0."""


def _write_notes(folders: Sequence[Path], options: Sequence[dict[str, object]]) -> None:
    """The note of what makes the files, in each folder that has none yet; nothing where one has another.

    Of several calls at the same time one writes first, and the others see its note.

    Raises:
        ValueError: as ``_check_note``, or another command is writing there.
        OSError: a folder cannot be written.
    """
    with ExitStack() as locks:
        for folder in sorted(folders):  # in the same order everywhere: nobody waits for whom it keeps waiting
            locks.enter_context(locked_folder(make_folder(folder), "another call is writing here", wait=_PATIENCE))
        for folder, own in zip(folders, options, strict=True):
            _check_note(folder, own)
        for folder, own in zip(folders, options, strict=True):
            if not (folder / SAMPLE_OPTIONS).exists():
                with whole_file(folder / SAMPLE_OPTIONS, durable=True) as file:
                    file.write((json.dumps(own, indent=2) + "\n").encode())


def _check_note(folder: Path, options: dict[str, object]) -> None:
    """Have nothing mixed with files that something else made.

    Raises:
        ValueError: the folder holds samples of other options, or its note cannot be read.
    """
    path = folder / SAMPLE_OPTIONS
    if not path.exists():
        return
    try:
        before = _ANY | read_json_object(path)
    except ValueError:
        raise ValueError(f"{path} cannot be read: choose another folder") from None
    for name, value in options.items():
        if before.get(name) != value:
            raise ValueError(
                f"{folder} holds samples with {name} {shown(before.get(name))}, not {value}: choose another folder"
            )
