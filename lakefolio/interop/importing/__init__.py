"""Importers of other tools' data and its history; restartable, with a dry run that lists the steps.

An importer reads a source and gives the steps that repeat its history, oldest first; ``plan`` does those that have not
been done, one commit each, and notes each in the commit that does it. So an import that broke off goes on where it
was, and a second run adds what is new and nothing twice.

Sources are not trusted: no link is followed out of them, nothing in them is run, no pickle is loaded.
"""

from lakefolio.interop.importing.execute import ImportReport
from lakefolio.interop.importing.kinds import KINDS, import_from

__all__ = ["KINDS", "ImportReport", "import_from"]
