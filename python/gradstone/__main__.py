"""``python -m gradstone``: the command line."""

import sys

from gradstone.cli import main

sys.exit(main())
