"""Kind ``sparse``: scipy sparse matrices and arrays as .npz, never pickle (FORMAT.md, "Kind sparse").

The file is the one that ``scipy.sparse.save_npz`` writes, so ``scipy.sparse.load_npz`` reads it. Formats that
it doesn't know (``lil``, ``dok``) are stored as ``csr`` and come back as what they were.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from lakefolio.errors import IntegrityError, InvalidInputError, UnsupportedTypeError
from lakefolio.items.handler import Buffers, Encoded, Source
from lakefolio.items.optional_imports import imported, need

__all__ = ["SparseHandler"]

_CONVERTED: Final = ("lil", "dok")


class SparseHandler:
    """Stores scipy sparse matrices and arrays."""

    kind: ClassVar[str] = "sparse"

    def accepts(self, obj: object) -> bool:
        """Say whether ``obj`` is a scipy sparse matrix or array."""
        sparse = imported("scipy.sparse")
        return sparse is not None and bool(sparse.issparse(obj))

    def encode(self, obj: Any, *, scratch: Path) -> Encoded:
        """Describe the matrix; takes no options.

        Raises:
            InvalidInputError: If its values are Python objects.
        """
        if not self.accepts(obj):
            raise UnsupportedTypeError(f"expected a scipy sparse matrix, got a {type(obj).__qualname__}")
        if obj.dtype.hasobject or not obj.ndim:
            raise InvalidInputError(
                f"a sparse matrix of dtype {obj.dtype} holds Python objects, which would need pickle",
                kind="object-array",
                hint="convert it with .astype first",
            )
        stored = obj.asformat("coo" if obj.ndim != 2 else "csr") if obj.format in _CONVERTED else obj

        def payload() -> Buffers:
            from scipy import sparse

            file = io.BytesIO()
            sparse.save_npz(file, stored, compressed=False)
            return Buffers((file.getbuffer(),))

        details = {
            "shape": list(obj.shape),
            "dtype": str(obj.dtype),
            "format": obj.format,
            "nnz": int(obj.nnz),
        }
        return Encoded(kind=self.kind, format="npz", media_type="application/x-npz", payload=payload, details=details)

    def decode(self, source: Source, details: Mapping[str, Any]) -> Any:
        """Return the matrix in the format it was added in; takes no options."""
        sparse = need("scipy.sparse", "a sparse matrix")
        try:
            found = sparse.load_npz(source.open())
        except (ValueError, TypeError, KeyError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as exc:
            raise IntegrityError(f"the stored sparse matrix can't be read: {exc}", kind="bad-content") from exc
        wanted = details.get("format")
        return found.asformat(wanted) if wanted in _CONVERTED else found
