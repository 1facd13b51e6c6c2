"""``python -m rhythmgan``: the command line."""

import sys

from rhythmgan.cli import main

sys.exit(main())
