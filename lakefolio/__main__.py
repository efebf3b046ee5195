"""``python -m lakefolio``."""

from lakefolio.cli.app import main

main()
