"""Store and load an object through a handler, as the lake would, with the bytes in memory."""

import io
import json
import tempfile
from pathlib import Path

from lakefolio.items import handler_for, handler_of
from lakefolio.items.handler import Buffers, Encoded
from lakefolio.items.table import TableHandler

_FILES = tempfile.TemporaryDirectory(prefix="lakefolio-test-")


class MemorySource:
    """Verified content, given in the three ways of the Source protocol."""

    in_memory = True
    row_count: int | None = None

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.size_bytes = len(content)

    def read(self) -> memoryview:
        return memoryview(bytearray(self.content))

    def decoded(self, decode):
        return decode(self.read())

    def open(self) -> io.BytesIO:
        return io.BytesIO(self.content)

    def path(self) -> Path:
        path = Path(tempfile.mkdtemp(dir=_FILES.name)) / "content"
        path.write_bytes(self.content)
        path.chmod(0o444)
        return path


def content_of(encoded: Encoded) -> bytes:
    payload = encoded.payload() if callable(encoded.payload) else encoded.payload
    if isinstance(payload, Buffers):
        assert all(isinstance(part, bytes) or part.format == "B" for part in payload.parts)
        content = b"".join(payload.parts)
    else:
        content = payload.path.read_bytes()
    assert payload.size_bytes == len(content)
    return content


def store(obj: object, kind: str | None = None, **options: object) -> tuple[MemorySource, Encoded]:
    """Encode ``obj``; the details go through JSON, as they do in the lake."""
    handler = handler_of(kind) if kind else handler_for(obj)
    with tempfile.TemporaryDirectory() as scratch:
        encoded = handler.encode(obj, scratch=Path(scratch), **options)
        content = content_of(encoded)
    assert encoded.kind == handler.kind
    encoded.details = json.loads(json.dumps(encoded.details, allow_nan=False))
    source = MemorySource(content)
    if encoded.kind == "table":  # what is stored has the digest of what was added
        TableHandler().check(source, encoded.details, encoded.digest or "")
    return source, encoded


def roundtrip(obj: object, kind: str | None = None, **options: object) -> object:
    source, encoded = store(obj, kind)
    return handler_of(encoded.kind).decode(source, encoded.details, **options)
