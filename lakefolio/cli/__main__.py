"""``python -m lakefolio.cli``."""

from lakefolio.cli.program import main

main()
