"""The one place that takes secrets out of texts, command lines and recorded values (pure: no I/O).

A lake keeps what is written for ever, for everyone who may read it, and messages end up in logs. So everything that is
recorded without having been given as content (command lines, tracebacks, parameters, addresses) and every message
passes through here. A secret is recognised by its name (``password=``, ``--api-key``, ``"token":``), by its place
(the user part and the signature of an address, an authorization header, an argument of ``login(…)``) or by its shape
(``ghp_…``, ``AKIA…``, PEM keys, JSON web tokens). A password without such a name, place or shape is not recognised.

All functions are idempotent, and return a text without secrets unchanged.
"""

from lakefolio.redaction.recognition import MASK, is_secret_name, scrub_address, scrub_shapes
from lakefolio.redaction.texts import scrub, scrub_code, scrub_command
from lakefolio.redaction.values import scrub_value

__all__ = [
    "MASK",
    "is_secret_name",
    "scrub",
    "scrub_address",
    "scrub_code",
    "scrub_command",
    "scrub_shapes",
    "scrub_value",
]
