"""Kind ``sparse``: scipy sparse matrices and arrays as .npz, never pickle (FORMAT.md, "Kind sparse").

The file is the one that ``scipy.sparse.save_npz`` writes, so ``scipy.sparse.load_npz`` reads it. Formats that
it doesn't know (``lil``, ``dok``) are stored as ``csr`` and come back in their own form.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from lakefolio.errors import IntegrityError, InvalidInputError
from lakefolio.items import npy
from lakefolio.items.dtype_extras import extras_of
from lakefolio.items.handler import Encoded, Source, unexpected
from lakefolio.items.optional_imports import need
from lakefolio.process.imports import imported

__all__ = ["SparseHandler", "from_parts"]

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
            InvalidInputError: If its values are Python objects, or their dtype has metadata.
        """
        if not self.accepts(obj):
            raise unexpected(obj, "a scipy sparse matrix")
        if obj.dtype.hasobject or not obj.ndim:
            raise InvalidInputError(
                f"a sparse matrix of dtype {obj.dtype} holds Python objects, which would need pickle",
                kind="object-array",
                hint="convert it with .astype first",
            )
        if extras_of(obj.dtype):
            raise InvalidInputError(
                f"the metadata of the dtype {obj.dtype} of the sparse matrix would not come back",
                kind="unsupported-dtype",
                hint="use .astype with a dtype without it, and note it as metadata of the item",
            )
        stored = obj.asformat("coo" if obj.ndim != 2 else "csr") if obj.format in _CONVERTED else obj

        details = {
            "shape": list(obj.shape),
            "dtype": str(obj.dtype),
            "format": obj.format,
            "nnz": int(obj.nnz),
        }
        return Encoded(
            kind=self.kind,
            format="npz",
            media_type="application/x-npz",
            payload=lambda: npy.write_npz(_parts(stored), scratch),
            details=details,
        )

    def decode(self, source: Source, details: Mapping[str, object]) -> Any:
        """Return the matrix in the format it was added in; takes no options."""
        need("scipy.sparse", "a sparse matrix")
        try:
            with source.open() as file:
                found = from_parts(npy.read_npz(file, source.size_bytes))
            wanted = details.get("format")
            if wanted not in _CONVERTED:
                return found
            if found.ndim == 2 and found.format != "csr":  # lil takes memory for each row, as csr does
                raise ValueError(f"a {wanted} matrix stored as {found.format}")
            return found.asformat(wanted)
        except npy.DAMAGE as exc:
            raise IntegrityError(f"the stored sparse matrix can't be read: {exc}", kind="bad-content") from exc


def _parts(matrix: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays that ``scipy.sparse.save_npz`` writes, in its order."""
    from scipy import sparse

    if matrix.format in ("csc", "csr", "bsr"):
        parts = {"indices": matrix.indices, "indptr": matrix.indptr}
    elif matrix.format == "dia":
        parts = {"offsets": matrix.offsets}
    elif matrix.ndim == 2:
        parts = {"row": matrix.row, "col": matrix.col}
    else:
        parts = {"coords": np.asarray(matrix.coords)}
    parts |= {"format": np.asarray(matrix.format.encode()), "shape": np.asarray(matrix.shape), "data": matrix.data}
    if isinstance(matrix, sparse.sparray):
        parts["_is_array"] = np.asarray(True)
    return parts


def from_parts(parts: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Return the matrix of the arrays that ``scipy.sparse.save_npz`` wrote, with all its indices checked.

    Raises:
        ValueError: If they are no such arrays; ``npy.DAMAGE`` lists the others.
    """
    from scipy import sparse

    kind = bytes(parts["format"].item()).decode() if parts["format"].dtype.kind == "S" else str(parts["format"].item())
    if kind not in ("csc", "csr", "bsr", "dia", "coo"):
        raise ValueError(f"a matrix of the format {kind[:20]!r}")
    for name in ("indices", "indptr", "offsets", "row", "col", "coords", "shape"):
        if name in parts and parts[name].dtype.kind not in "iu":
            raise ValueError(f"{name} of the dtype {parts[name].dtype}")
    made = getattr(sparse, f"{kind}_array" if parts.get("_is_array") else f"{kind}_matrix")
    data, shape = parts["data"], tuple(parts["shape"].tolist())
    if kind == "dia":
        farthest = max(map(abs, parts["offsets"].ravel().tolist()), default=0)
        if farthest + max(shape, default=0) >= 2**31:  # compiled code adds the two
            raise ValueError(f"a diagonal {farthest} away")
        return made((data, parts["offsets"]), shape=shape)
    if kind == "coo":
        return made((data, parts["coords"] if "coords" in parts else (parts["row"], parts["col"])), shape=shape)
    pointers = parts["indptr"]
    if pointers.ndim != 1 or (pointers < 0).any() or (pointers[1:] < pointers[:-1]).any():
        raise ValueError("rows that end before they begin")  # scipy looks only where the last one is above 0
    found = made((data, parts["indices"], pointers), shape=shape)
    found.check_format(full_check=True)  # compiled code follows the indices without looking
    return found
