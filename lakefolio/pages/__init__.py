"""A lake as a page: looked at in a browser on this machine, or frozen into one file.

``answers`` says what a page may ask, ``server`` lets a browser of this machine ask it, ``frozen`` writes the answers
into the page itself. All of it stands on the public methods of a lake that is only read. The page (``static``) is plain
JavaScript without a build step; it treats every value of a lake as text.
"""

from __future__ import annotations

from lakefolio.pages.frozen import Frozen, freeze
from lakefolio.pages.server import PageServer

__all__ = ["Frozen", "PageServer", "freeze"]
