"""A folio, as it is or was, as a folder that others can read: its files with a description of their community's form.

``croissant.json`` (MLCommons Croissant 1.0) tells ML tools what the tables hold, ``ro-crate-metadata.json`` (RO-Crate
1.1) tells archives who made what from what; OpenLineage events tell a catalogue. ``lakefolio/docs/publishing.md``.
"""

from lakefolio.interop.publishing.events import events_of, send_events
from lakefolio.interop.publishing.publish import FORMS, publish

__all__ = ["FORMS", "events_of", "publish", "send_events"]
