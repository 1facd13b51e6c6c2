"""What is judged is asked for the right bars: of a role, of roles in their shares, of a smaller kit."""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from rhythmgan.bars import fold_bars
from rhythmgan.candidates import (
    Asked,
    candidate,
    from_bars,
    from_model,
    known_shares,
    nats_of_bars,
)
from rhythmgan.conditions import Condition
from rhythmgan.data import Corpus
from rhythmgan.kit import GM9, GM12, JAKI5
from rhythmgan.models.gan import GAN, GANConfig, save_gan

pytestmark = pytest.mark.usefixtures("one_thread")

ROLES = ("groove", "variation", "fill")


@dataclass(frozen=True)
class Marked:
    """A model whose bars say what they were asked for: role on step 0, style on step 1, seed on the others."""

    condition: Condition = field(default_factory=Condition)
    roles: tuple = ROLES
    styles: tuple = ("rock", "funk")
    kit = GM9
    steps = 16

    def with_condition(self, role=None, style=None):
        return replace(self, condition=self.condition.asked(role, style, self.roles, self.styles))

    def sample(self, n, seed=0):
        bars = np.zeros((n, 16, 9), bool)
        if self.condition.role != "any":
            bars[:, 0, self.roles.index(self.condition.role)] = True
        if self.condition.style != "any":
            bars[:, 1, self.styles.index(self.condition.style)] = True
        bars[:, 2:].reshape(n, -1)[:] = np.arange(seed, seed + n)[:, None] >> np.arange(14 * 9).clip(max=40) & 1
        return bars


def _read(bars):
    """(role, style, seed) of each bar of ``Marked``."""
    found = []
    for bar in bars:
        role, style = (np.flatnonzero(line) for line in bar[:2])
        seed = int((bar[2:].ravel()[:20] << np.arange(20)).sum())
        found.append(
            (ROLES[role[0]] if len(role) else "any", ("rock", "funk")[style[0]] if len(style) else "any", seed)
        )
    return found


def test_a_model_is_asked_for_a_catalogue_and_for_all_roles_as_played():
    one = from_model("m", Marked()).asked(Asked(shares={"groove": 0.5, "fill": 0.3, "variation": 0.2}))
    assert _read(one.draw(3, 7)[0]) == [("any", "any", seed) for seed in (7, 8, 9)]
    drawn = _read(one.draw_as_played(4000, 7)[0])
    counts = Counter(role for role, _, _ in drawn)
    for role, share in (("groove", 0.5), ("fill", 0.3), ("variation", 0.2)):
        assert abs(counts[role] / 4000 - share) < 0.03
    # every seed once, so that no bar of one role is a twin of another's
    assert sorted(seed for _, _, seed in drawn) == list(range(7, 4007))
    # the first ones are of all roles: a row takes no more than it needs
    assert {role for role, _, _ in drawn[:40]} == set(ROLES)
    np.testing.assert_array_equal(one.draw_as_played(50, 7)[0], one.draw_as_played(50, 7)[0])


def test_a_model_is_asked_for_one_role_and_style_in_both_tables():
    one = from_model("m", Marked()).asked(Asked("fill", "funk", {"groove": 1.0}))
    assert one.draw_as_played is None
    assert _read(one.draw(2, 0)[0]) == [("fill", "funk", 0), ("fill", "funk", 1)]
    both = from_model("m", Marked()).asked(Asked("any", "rock", {"groove": 0.5, "fill": 0.5}))
    assert {style for _, style, _ in _read(both.draw_as_played(20, 0)[0])} == {"rock"}
    assert _read(both.draw(1, 0)[0]) == [("any", "rock", 0)]
    with pytest.raises(ValueError, match="knows no style 'polka'; it knows rock, funk, any"):
        from_model("m", Marked()).asked(Asked(style="polka"))


def test_a_model_plays_only_the_roles_that_it_knows():
    shares = {"groove": 0.5, "variation": 0.25, "fill": 0.25}
    assert known_shares(shares, ("fill", "groove")) == {"groove": pytest.approx(2 / 3), "fill": pytest.approx(1 / 3)}
    assert known_shares(shares, ()) == {}
    one = from_model("m", Marked(roles=("groove", "fill"))).asked(Asked(shares=shares))
    assert {role for role, _, _ in _read(one.draw_as_played(200, 0)[0])} <= {"groove", "variation"}  # places 0 and 1
    # one that knows styles alone has one way to play
    assert from_model("m", Marked(roles=())).asked(Asked(shares=shares)).draw_as_played is None


def test_what_knows_no_conditions_is_never_asked():
    silent = from_model("m", Marked(roles=(), styles=()))
    assert silent.ask is None
    assert silent.asked(Asked("fill", "funk")) is silent
    bars = from_bars("b", np.ones((120, 16, 9), bool))
    assert bars.asked(Asked("fill")) is bars


def test_roles_weigh_as_their_songs_do():
    """Song a plays three grooves and a fill, song b two fills: (3/4 + 0) / 2 grooves."""
    words = np.ones((6, 16), np.uint16)
    song = np.array([0, 0, 0, 0, 1, 1])
    corpus = Corpus.of(words, song, song, np.arange(6), ("a", "b"), ("a", "b"), GM9, np.array([0, 0, 2, 0, 2, 2]))
    assert corpus.role_shares() == {"groove": 0.375, "fill": 0.625}


def test_bars_of_a_larger_kit_are_folded_and_lost_ones_left_out():
    shaker, ride = GM12.names.index("shaker"), GM12.names.index("ride")
    bars = np.zeros((3, 16, 12), bool)
    bars[0, 4, shaker] = True  # nine parts have no place for it
    bars[1, 4, [shaker, ride]] = True  # bar 2 is silent by itself

    class Fixed:
        kit, steps = GM12, 16

        def sample(self, n, seed=0):
            return bars

    drawn, _ = from_model("m", Fixed(), GM9).draw(3, 0)
    np.testing.assert_array_equal(drawn, fold_bars(bars[1:], GM12, GM9))
    assert drawn.sum((1, 2)).tolist() == [1, 0]
    np.testing.assert_array_equal(from_model("m", Fixed()).draw(3, 0)[0], bars)

    class Small(Fixed):
        kit = JAKI5

    with pytest.raises(ValueError, match="kit jaki5 cannot be folded into kit gm12"):
        from_model("m", Small(), GM12)


def test_weights_of_twelve_parts_are_judged_in_nine(tmp_path):
    gan = GAN(GANConfig(kit="gm12", width=4, discriminator_width=4)).eval()
    save_gan(tmp_path / "gan.safetensors", gan, {})
    drawn, _ = candidate(str(tmp_path / "gan.safetensors"), GM9, 16).draw(40, 3)
    folded = fold_bars(gan.sample(40, 3), GM12, GM9)
    np.testing.assert_array_equal(drawn, folded[folded.any((1, 2))])
    save_gan(tmp_path / "small.safetensors", GAN(GANConfig(kit="jaki5", width=4, discriminator_width=4)), {})
    with pytest.raises(ValueError, match="makes bars of kit jaki5 and 16 steps, but kit gm9 and 16 steps are needed"):
        candidate(str(tmp_path / "small.safetensors"), GM9, 16)
    with pytest.raises(ValueError, match="gm12 and 16 steps, but kit gm12 and 12 steps are needed"):
        candidate(str(tmp_path / "gan.safetensors"), JAKI5, 12)


# -- nats -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Steady:
    """A prior that gives every step the same chance, by role; the bar before halves it, a smaller kit doubles it."""

    condition: Condition = field(default_factory=Condition)
    roles: tuple = ROLES
    styles: tuple = ("rock",)
    kit = GM12
    steps = 16
    fingerprint = "x"
    chances = {"any": 0.5, "groove": 0.4, "variation": 0.2, "fill": 0.1}  # noqa: RUF012

    def with_condition(self, role=None, style=None):
        return replace(self, condition=self.condition.asked(role, style, self.roles, self.styles))

    def step_log_prob(self, bars, previous=None, *, kit=None):
        chance = self.chances[self.condition.role] * (1 if previous is None else 0.5)
        chance *= 1 if self.condition.style == "any" else 0.5
        return torch.full((len(bars), 16), np.log(chance * (1 if kit is None else 2)))

    def sample(self, n, seed=0):
        raise NotImplementedError

    log_prob = in_double = sample


def test_nats_of_a_prior_that_is_asked_for_a_role():
    bars = np.zeros((3, 16, 12), bool)
    shares = {"groove": 0.5, "fill": 0.5}

    def nats(asked, before=None, kit=GM12, as_played=False):
        found = nats_of_bars(Steady(), asked, bars, before, kit, as_played)
        assert found.shape == (3,)
        return found[0]

    assert nats(Asked(shares=shares)) == pytest.approx(-16 * np.log(0.5))
    assert nats(Asked("fill", shares=shares), as_played=True) == pytest.approx(-16 * np.log(0.1))
    assert nats(Asked("fill", "rock"), bars) == pytest.approx(-16 * np.log(0.025))
    assert nats(Asked(), kit=GM9) == pytest.approx(0)
    # nobody tells it the role of a bar as played: the mean of the chances, not of the nats
    assert nats(Asked(shares=shares), as_played=True) == pytest.approx(-np.log((0.4**16 + 0.1**16) / 2))
    assert nats(Asked(), as_played=True) == pytest.approx(-16 * np.log(0.5))
