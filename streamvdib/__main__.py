"""``python -m streamvdib``."""

import sys

from streamvdib.cli import main

sys.exit(main())
