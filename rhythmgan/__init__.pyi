from .corpus_file import load_corpus
from .features import density, syncopation
from .generate.morph import morph
from .generate.phrases import phrases
from .generate.sampling import sample
from .interop import from_pretty_midi, from_pypianoroll, to_pretty_midi, to_pypianoroll
from .kit import GM9, GM12, JAKI5, ROLAND10, RYTHMGAN7
from .latent import interpolate
from .midi import write_midi
from .midi_reader import read_midi
from .models.gan import load_gan
from .models.word_lstm import load_prior
from .performance import Performance, Playback
from .reference import load_reference
from .songs.preparation import prepare
from .sound import render, write_wav

__version__: str

__all__ = [
    "GM9",
    "GM12",
    "JAKI5",
    "ROLAND10",
    "RYTHMGAN7",
    "Performance",
    "Playback",
    "density",
    "from_pretty_midi",
    "from_pypianoroll",
    "interpolate",
    "load_corpus",
    "load_gan",
    "load_prior",
    "load_reference",
    "morph",
    "phrases",
    "prepare",
    "read_midi",
    "render",
    "sample",
    "syncopation",
    "to_pretty_midi",
    "to_pypianoroll",
    "write_midi",
    "write_wav",
]
