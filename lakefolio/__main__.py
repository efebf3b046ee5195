"""``python -m lakefolio``."""

from lakefolio.cli.program import main

main()
