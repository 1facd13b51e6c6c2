"""How fast a performance is played, and how swung: as data, so that the commands' help can say its defaults at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

MIN_BPM, MAX_BPM = 4, 1000

MIN_SWING = 0.5
"""Straight: the second sixteenth lies in the middle of its eighth."""

MAX_SWING = 0.7
"""Where a swung sixteenth lies at the latest: read back on 16 steps, it is still the step it was."""


def check_swing(swing: float) -> None:
    """Raise a ValueError where a swing lies out of its range."""
    if not MIN_SWING <= swing <= MAX_SWING:
        raise ValueError(f"swing lies between {MIN_SWING} (straight) and {MAX_SWING}, not at {swing}")


@dataclass(frozen=True)
class Playback:
    """How fast bars are played, and how swung.

    Attributes:
        bpm: quarter notes a minute, 4 to 1000.
        swing: of the sixteenths: where the second sixteenth of an eighth lies in it, .5 (straight) to .7; .667 is a
            triplet shuffle.

    Raises:
        ValueError: one of them is out of range.
    """

    bpm: float = 120.0
    swing: float = 0.5

    def __post_init__(self) -> None:
        if not MIN_BPM <= self.bpm <= MAX_BPM:
            raise ValueError(f"the tempo lies between {MIN_BPM} and {MAX_BPM} beats a minute, not {self.bpm}")
        check_swing(self.swing)

    def step_beats(self, steps: int) -> np.ndarray:
        """Where a bar's steps begin, with the second of each two sixteenths delayed.

        The steps of a 32-step grid stay halfway between the sixteenths around them.

        Returns:
            (steps + 1,) float64 beats from the bar line, the last one the next bar line. ``grid.quantise`` finds the
            same steps again; on 32 steps only up to .62, as a second sixteenth that is later is nearer to the step
            after it.

        Raises:
            ValueError: no grid, or one of triplets with a swing: it has no sixteenths to swing.
        """
        import numpy as np

        from rhythmgan.bars import BEATS, check_steps

        straight = np.arange(steps + 1) * (BEATS / check_steps(steps))
        if self.swing == MIN_SWING:
            return straight
        if steps % 3 == 0:
            raise ValueError(f"a bar of {steps} steps has no sixteenths to swing: its swing is .5, not {self.swing}")
        eighth, within = np.divmod(straight * 2, 1)
        return (eighth + np.interp(within, (0, 0.5, 1), (0, self.swing, 1))) / 2


PLAIN = Playback()
"""What is played at 120 beats a minute, straight."""
