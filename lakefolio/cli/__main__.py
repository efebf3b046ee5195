"""``python -m lakefolio.cli``."""

from lakefolio.cli.app import main

main()
