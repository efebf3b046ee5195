"""The lineage of a folio as OpenLineage events, in a file or sent to a catalogue (Marquez, DataHub, …)."""

from __future__ import annotations

import http.client
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from lakefolio.errors import InvalidInputError, StorageError, one_line
from lakefolio.lake import Lake
from lakefolio.process.keywords import explained
from lakefolio.redaction import scrub_address

__all__ = ["events_of", "send_events"]

_TIMEOUT_S: Final = 30.0
_PATH: Final = "/api/v1/lineage"
_SAID: Final = 200
"""Characters of another program's message that an error repeats."""


@explained
def events_of(lake: Lake, folio: str | None = None) -> list[dict[str, Any]]:
    """Return the events of all that made the items of a folio, or of the lake: one for each run, oldest first.

    The id of a run is the same each time, so that a catalogue that is told twice knows it once.
    """
    found: dict[str, dict[str, Any]] = {}
    for entry in lake.items(folio):
        for event in lake.lineage(f"{entry.folio}:{entry.item}").upstream().to_openlineage(lake.uri):
            known = found.setdefault(event["run"]["runId"], event)
            if known is event:
                continue
            for side in ("inputs", "outputs"):
                names = {(one["namespace"], one["name"]) for one in known[side]}
                known[side] += [one for one in event[side] if (one["namespace"], one["name"]) not in names]
    return sorted(found.values(), key=lambda event: str(event["eventTime"]))


@explained
def send_events(events: Iterable[Mapping[str, object]], address: str, *, timeout_s: float = _TIMEOUT_S) -> int:
    """Send events to a catalogue, one request each, in order; return how many. Safe to repeat.

    The key of OPENLINEAGE_API_KEY is sent along, if it is set; to the address only, redirects are not followed.

    Args:
        events: The events.
        address: ``https://host``, or the whole address of its endpoint; without a path ``/api/v1/lineage`` is meant.
        timeout_s: Seconds that one request may take as a whole, however slowly its answer comes.

    Raises:
        InvalidInputError: kind ``bad-uri``: it is no address of HTTP, or holds a password. ``bad-timeout``.
        StorageError: kind ``catalogue``: it can't be reached, refuses, or has not answered in time; the events before
            were sent.
    """
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as exc:
        raise InvalidInputError(
            f"{scrub_address(address)!r} is no address: {exc}", kind="bad-uri", hint="write http://localhost:5000"
        ) from exc
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InvalidInputError(
            f"{scrub_address(address)!r} is no address of HTTP", kind="bad-uri", hint="write http://localhost:5000"
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidInputError(
            f"address {scrub_address(address)!r} holds a user or a password, which are not sent",
            kind="bad-uri",
            hint="set the key of the catalogue in OPENLINEAGE_API_KEY",
        )
    if not 0 < timeout_s <= threading.TIMEOUT_MAX:
        raise InvalidInputError(
            f"timeout_s={timeout_s} is no time to wait", kind="bad-timeout", hint="give seconds, such as 30"
        )
    url = address if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}{_PATH}"
    headers = {"Content-Type": "application/json", "User-Agent": "lakefolio"}
    if key := os.environ.get("OPENLINEAGE_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    count = 0
    for event in events:
        request = urllib.request.Request(url, json.dumps(event).encode(), headers, method="POST")
        try:
            _ask(request, timeout_s)
            count += 1
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as exc:
            said = exc.reason if type(exc) is urllib.error.URLError else exc
            raise StorageError(
                f"catalogue {scrub_address(url)} does not take event {count + 1}: {one_line(str(said), _SAID)}",
                kind="catalogue",
                hint="check the address, and the key in OPENLINEAGE_API_KEY",
                uri=scrub_address(url),
            ) from exc
    return count


def _ask(request: urllib.request.Request, timeout_s: float) -> None:
    """Send a request; return when it has been taken.

    Timeouts of sockets are those of one read: a catalogue that sends a byte each second would meet them for ever. So
    the request is made by a daemon thread, which is waited for no longer than the whole may take.
    """
    done = threading.Event()
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            with urllib.request.build_opener(_NoRedirects()).open(request, timeout=timeout_s):
                pass  # what else the catalogue says is not read
        except BaseException as exc:  # raised by the caller, who waits
            if isinstance(exc, urllib.error.HTTPError):
                exc.close()  # its answer may never end
            failed.append(exc)
        done.set()

    threading.Thread(target=ask, name="lakefolio-events", daemon=True).start()
    if not done.wait(timeout_s):
        raise TimeoutError(f"no answer within {timeout_s:g} s")
    if failed:
        raise failed[0]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the key would go along."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        """Refuse."""
