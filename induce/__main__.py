"""``python -m induce``."""

from induce.cli import main

main()
