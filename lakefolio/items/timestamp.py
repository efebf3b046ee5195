"""Kind ``timestamp``: an instant, as ISO 8601 text in UTC (FORMAT.md, "Kind timestamp").

The content is one JSON text such as ``"2026-01-15T10:30:00+00:00"``. A datetime without time zone names no
instant: ``add_timestamp`` refuses it, ``add_data`` stores it as ``json``.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from lakefolio.errors import IntegrityError, InvalidInputError
from lakefolio.format.json_decode import zone_of
from lakefolio.format.json_scalars import name_of_zone
from lakefolio.items.handler import Buffers, Encoded, Source, unexpected
from lakefolio.items.optional_imports import need
from lakefolio.process.imports import imported

__all__ = ["TimestampHandler"]

_FRACTION: Final = re.compile(r"\.\d{7,9}")


class TimestampHandler:
    """Stores instants; they come back in UTC."""

    kind: ClassVar[str] = "timestamp"
    uses_scratch: ClassVar[bool] = False

    def accepts(self, obj: object) -> bool:
        """Say whether ``obj`` is a datetime with a time zone (a ``pandas.Timestamp`` is one)."""
        if not isinstance(obj, dt.datetime) or obj.tzinfo is None or obj != obj:
            return False
        try:
            obj.astimezone(dt.UTC)
        except (OverflowError, ValueError):  # of the last hours of 9999 there is no time in UTC: kind json keeps it
            return False
        return True

    def encode(self, obj: object, *, scratch: Path) -> Encoded:
        """Turn a datetime with time zone, or seconds since 1970 in UTC, into text; takes no options.

        Raises:
            InvalidInputError: If the datetime has no time zone, or the number is out of range.
            UnsupportedTypeError: If it is neither a datetime nor a number.
        """
        moment, zone = _moment(obj)
        text = moment.isoformat()
        details = {"iso_string": text, "unix_timestamp": moment.timestamp(), "time_zone": zone}
        return Encoded(
            kind=self.kind,
            format="json",
            media_type="application/json",
            payload=Buffers((json.dumps(text).encode(),)),
            details=details,
        )

    def decode(
        self,
        source: Source,
        details: Mapping[str, object],
        *,
        as_unix: bool = False,
        original_zone: bool = False,
    ) -> dt.datetime | float:
        """Return the instant as a datetime in UTC (a ``pandas.Timestamp`` if it holds nanoseconds).

        Args:
            source: The text.
            details: Holds the time zone it was added with.
            as_unix: Return seconds since 1970 in UTC instead.
            original_zone: Return it in the time zone it was added with.
        """
        try:
            text = json.loads(bytes(source.read()))
            moment = dt.datetime.fromisoformat(text)
        except (ValueError, TypeError, RecursionError) as exc:
            raise IntegrityError(f"the stored timestamp can't be read: {exc}", kind="bad-content") from exc
        if _FRACTION.search(text):
            moment = need("pandas", "a timestamp in nanoseconds").Timestamp(text)
        if as_unix:
            return moment.timestamp()
        zone = zone_of(details.get("time_zone")) if original_zone else None
        return moment.astimezone(zone or dt.UTC)


def _moment(obj: object) -> tuple[Any, str | float | None]:
    pandas = imported("pandas")
    if isinstance(obj, dt.datetime) and obj == obj:
        if obj.tzinfo is None:
            raise InvalidInputError(
                f"the datetime {obj.isoformat()} has no time zone, so it names no instant",
                kind="naive-datetime",
                hint="use datetime.now(timezone.utc) or .replace(tzinfo=…); add_data keeps it without a zone",
            )
        zone = name_of_zone(obj.tzinfo, obj)
        try:
            obj.astimezone(dt.UTC)
        except (OverflowError, ValueError) as exc:
            raise InvalidInputError(
                f"the datetime {obj.isoformat()} is no time between the years 1 and 9999 in UTC",
                kind="bad-timestamp",
                hint="add_json keeps it with its zone",
            ) from exc
        if pandas is not None and isinstance(obj, pandas.Timestamp):
            utc = obj.tz_convert("UTC")
            return (utc if utc.nanosecond else utc.to_pydatetime().astimezone(dt.UTC)), zone
        return obj.astimezone(dt.UTC), zone
    if isinstance(obj, (int, float)) and not isinstance(obj, bool):
        try:
            return dt.datetime.fromtimestamp(obj, tz=dt.UTC), None
        except (ValueError, OverflowError, OSError) as exc:
            raise InvalidInputError(
                f"{obj!r} seconds since 1970 is no time that can be stored: {exc}",
                kind="bad-timestamp",
                hint="give seconds, not milliseconds, between the years 1 and 9999",
            ) from exc
    expected = "a datetime with time zone or a number of seconds since 1970"
    raise unexpected(obj, expected, "datetime.fromisoformat reads a text")
