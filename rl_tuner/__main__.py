"""``python -m rl_tuner`` is ``rl-tuner``."""

import sys

from rl_tuner.cli import main

sys.exit(main())
