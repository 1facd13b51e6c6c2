"""A loop to which notes are appended as a reinforcement-learning environment: one episode, or a batch of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional as F

from rhythmgan.draw import bar_to_text
from rhythmgan.loops import BARS, windows
from rl_tuner.append.alphabet import Alphabet
from rl_tuner.envs.episodes import BatchVectorEnv, EpisodeEnv

Term = Callable[[Tensor], Tensor]
"""What the newest token is worth: tokens (n, t) ints so far, the newest the last → (n,) floats."""


class AppendVectorEnv(BatchVectorEnv):
    """A batch of the episodes of ``AppendEnv``, whose specification holds here too, all at the same step.

    ## Episode end
    All episodes end with the last step of the loop, and begin anew with the next one (``AutoresetMode.NEXT_STEP``),
    whose actions are ignored.

    ## Arguments
    alphabet, steps, openings, terms, coefs, known: see ``AppendEnv``. All in ``info`` has a row for each episode here.

    num_envs: episodes at once.

    Raises:
        ValueError: openings or chances that do not fit, no term, or a coefficient of none.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        openings: np.ndarray,
        terms: Mapping[str, Term],
        coefs: Mapping[str, float] | None = None,
        known: Callable[[Tensor], Tensor] | None = None,
        chances: np.ndarray | None = None,
        steps: int = 16,
        num_envs: int = 64,
        render_mode: str | None = None,
    ) -> None:
        self.alphabet, self.steps, self.length = alphabet, steps, BARS * steps
        seen = spaces.Box(0.0, 1.0, (self.length * alphabet.symbols.shape[1],), np.float32)
        super().__init__(seen, len(alphabet), num_envs, render_mode)
        self.openings = torch.from_numpy(np.asarray(openings).astype(np.int64))
        if self.openings.ndim != 2 or not len(self.openings) or self.openings.shape[1] >= self.length:
            raise ValueError(
                f"expected openings (m, t), t below {self.length}, one at least; got {tuple(openings.shape)}"
            )
        self._check_tokens(self.openings)
        if not terms:
            raise ValueError("the reward needs a term at least")
        self.terms = dict(terms)
        self.coefs = dict.fromkeys(terms, 1.0) if coefs is None else dict(coefs)
        if self.coefs.keys() != self.terms.keys():
            raise ValueError(f"expected a coefficient for each of {', '.join(terms)}; got {', '.join(self.coefs)}")
        self._known = known
        shares = np.ones(len(self.openings)) if chances is None else np.asarray(chances, float)
        if shares.shape != (len(self.openings),):
            raise ValueError(f"expected chances ({len(self.openings)},), one of each opening; got {shares.shape}")
        if not (shares >= 0).all() or not 0 < shares.sum() < np.inf:
            raise ValueError("chances are finite numbers of 0 or more, one at least above 0")
        self._chances = torch.from_numpy(shares / shares.sum())
        self._tokens: Tensor | None = None

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin all episodes.

        Args:
            seed: of what the environments draw; without one they go on in the same stream.
            options: may hold ``given`` (num_envs, t) ints, the tokens that each begins with, for this reset only.

        Raises:
            ValueError: another option, or tokens that do not fit.
        """
        super().reset(seed=seed)
        self._seed(seed, self._tokens is None)
        options = options or {}
        if unknown := options.keys() - {"given"}:
            raise ValueError(f"no option is called {min(unknown)!r}; there is given")
        given = options.get("given")
        if given is None:
            self._tokens = self._draw_openings()
        else:
            tokens = torch.as_tensor(np.asarray(given), dtype=torch.long)
            if tokens.ndim != 2 or len(tokens) != self.num_envs or tokens.shape[1] >= self.length:
                raise ValueError(
                    f"expected tokens ({self.num_envs}, t), t below {self.length}; got {tuple(tokens.shape)}"
                )
            self._check_tokens(tokens)
            self._tokens = tokens
        return self._observe(), self._info(None)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Append a token to every loop; those that are whole begin anew, whatever the actions.

        Raises:
            ValueError: another number of actions, or one that there is not.
            gymnasium.error.ResetNeeded: before the first reset.
        """
        if self._tokens is None:
            raise gymnasium.error.ResetNeeded("reset the environment before its first step")
        chosen = self._checked(actions)
        none = np.zeros(self.num_envs, bool)
        if self._tokens.shape[1] == self.length:
            self._tokens = self._draw_openings()
            return self._observe(), np.zeros(self.num_envs, np.float32), none, none, self._info(None)
        self._tokens = torch.cat([self._tokens, chosen[:, None]], 1)
        with torch.no_grad():
            terms = {name: term(self._tokens).float() for name, term in self.terms.items()}
        rewards = torch.zeros(self.num_envs)
        for name, term in terms.items():
            rewards += self.coefs[name] * term
        ended = np.full(self.num_envs, self._tokens.shape[1] == self.length)
        return self._observe(), rewards.numpy(), ended, none, self._info(terms)

    def render(self) -> tuple[str, ...] | None:
        """Each loop in text, see ``draw.bar_to_text``, a bar after the other; what is not decided yet is silent."""
        if self._tokens is None or self.render_mode != "ansi":
            return None
        loops = self.alphabet.bars(self._tokens, self.steps)
        return tuple("\n".join(bar_to_text(bar, self.alphabet.kit) for bar in loop) for loop in loops)

    def reference(self, observations: Tensor) -> Tensor:
        """Log-probability of each token (n, k) to be next by what the loops are known to be; all alike by default."""
        if self._known is None:
            return observations.new_full((len(observations), len(self.alphabet)), -np.log(len(self.alphabet)))
        with torch.no_grad():
            return self._known(observations).log_softmax(1)

    def _check_tokens(self, tokens: Tensor) -> None:
        if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < len(self.alphabet):
            raise ValueError(f"tokens lie in 0 … {len(self.alphabet) - 1}")

    def _draw_openings(self) -> Tensor:
        return self.openings[torch.multinomial(self._chances, self.num_envs, True, generator=self.random)]

    def _get_episodes(self) -> dict[str, Any]:
        if self._tokens is None:
            raise gymnasium.error.ResetNeeded("reset the environment before its state is asked for")
        # always as long as a loop, so that states of all moments are alike
        n_there = self._tokens.shape[1]
        return {"tokens": F.pad(self._tokens, (0, self.length - n_there)), "n_there": n_there}

    def _set_episodes(self, episodes: dict[str, Any]) -> None:
        tokens, n_there = episodes["tokens"], episodes["n_there"]
        if not 0 <= n_there <= self.length:
            raise ValueError(f"the environments: a loop has 0 to {self.length} tokens, not {n_there}")
        self._check_tokens(tokens)
        self._tokens = tokens[:, :n_there]

    def _observe(self) -> np.ndarray:
        assert self._tokens is not None
        return windows(self._tokens, self.alphabet.symbols, self.length).numpy()

    def _info(self, terms: Mapping[str, Tensor] | None) -> dict[str, Any]:
        """The terms of the newest token, 0 where there is none; of whole loops the bars as well."""
        assert self._tokens is not None
        zeros = torch.zeros(self.num_envs)
        info: dict[str, Any] = {"terms": {name: (terms or {}).get(name, zeros).numpy() for name in self.terms}}
        if self._tokens.shape[1] == self.length:
            info["loop"] = self.alphabet.bars(self._tokens, self.steps)
        return info


class AppendEnv(EpisodeEnv):
    """A loop of two bars that is made note by note: ``DrumAppend-v0`` (Ravula & Cao, *Just beat it*, 2019).

    ## Action space
    ``Discrete(k)``: the token that is appended, one of the alphabet's. Of notes of kit roland10 there are ten: 0 is
    silence, 1 to 9 are kick, snare, high tom, low-mid tom, floor tom, open hat, closed hat, crash and ride. All may be
    appended at any time.

    ## Observation space
    ``Box(0, 1, (32 · width,), float32)``: a window of 32 steps that ends with the newest token, with the numbers that
    stand for the token of each step; zeros where the loop had not begun. Of notes the numbers are ten, one-hot:

    | index | meaning | min | max |
    | --- | --- | --- | --- |
    | 0 to 9 | note 31 steps before the newest, one-hot; all 0 where there is none yet | 0 | 1 |
    | 10 · i to 10 · i + 9 | note 31 − i steps before the newest, likewise | 0 | 1 |
    | 310 to 319 | newest note, likewise | 0 | 1 |

    Of words they are 1, and 1 for each part that sounds, the first part of the kit first. How much of the window is
    filled tells the step.

    ## Rewards
    The sum of coefficient · term over ``terms``: what the appended token is worth after those before it. As published
    there is one, the log-probability of the token by a model that was trained on songs. The terms are in
    ``info["terms"]``, as floats.

    ## Starting state
    The tokens of one of ``openings``, by their ``chances``: two beats of a song. ``options["given"]``, (1, t) tokens,
    are there instead, for this reset only.

    ## Episode end
    Terminated when the loop is whole, after 32 tokens; ``info["loop"]`` is then the loop (2, steps, parts) bool. Never
    truncated. An episode that has ended waits for a reset.

    ## Arguments
    alphabet: the tokens. ``gymnasium.make`` takes the bundled model's notes, openings and log-probabilities by default.

    openings: (m, t) ints, tokens to begin with; t may be 0.

    terms: name → what the newest token is worth.

    coefs: coefficient of each term, 1 by default.

    known: observations (n, dim) → logits (n, k) of the next token, which ``reference`` makes log-probabilities of.

    chances: (m,), how often an episode begins with each opening; all alike by default.

    steps: of a bar.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        openings: np.ndarray,
        terms: Mapping[str, Term],
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(AppendVectorEnv(alphabet, openings, terms, num_envs=1, render_mode=render_mode, **options))
