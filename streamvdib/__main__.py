"""``python -m streamvdib``."""

from streamvdib.cli import run_and_exit

run_and_exit()
