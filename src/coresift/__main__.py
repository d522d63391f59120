"""``python -m coresift``."""

from coresift.cli.main import main

main()
