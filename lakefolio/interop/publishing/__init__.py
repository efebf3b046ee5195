"""A folio, at any version, as a folder for publication: its files with a description in a standard form.

``croissant.json`` (MLCommons Croissant 1.0) describes the tables for ML tools, ``ro-crate-metadata.json`` (RO-Crate
1.1) describes authors, inputs and results for archives; OpenLineage events describe lineage for a
catalogue. See ``lakefolio/docs/publishing.md``.
"""

from lakefolio.interop.publishing.events import events_of, send_events
from lakefolio.interop.publishing.publish import FORMS, publish

__all__ = ["FORMS", "events_of", "publish", "send_events"]
