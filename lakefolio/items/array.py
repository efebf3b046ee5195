"""Kind ``array``: numpy arrays as .npy, without a copy and without pickle (FORMAT.md, "Kind array").

The stored bytes are a plain .npy file, or for a masked array an uncompressed .npz with ``data``, ``mask`` and
``fill_value``. Shape, dtype, byte order and C or Fortran order come back; strides and sharing do not. What .npy leaves
out of a dtype lies in ``details`` (:mod:`lakefolio.items.dtype_extras`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from lakefolio.errors import IntegrityError, InvalidInputError, type_name
from lakefolio.items import npy
from lakefolio.items.dtype_extras import extras_of, with_extras, without_metadata
from lakefolio.items.handler import Buffers, Encoded, Payload, Source, unexpected

__all__ = ["ArrayHandler"]

_SUBCLASSES: Final = {"matrix": np.matrix, "recarray": np.recarray}
_KNOWN: Final = (np.ndarray, np.memmap, np.ma.MaskedArray, *_SUBCLASSES.values())


class ArrayHandler:
    """Stores numpy arrays of any dtype but object."""

    kind: ClassVar[str] = "array"

    def accepts(self, obj: object) -> bool:
        """Say whether ``obj`` is a numpy array."""
        return isinstance(obj, np.ndarray)

    def encode(self, obj: object, *, scratch: Path) -> Encoded:
        """Describe the array's own memory as .npy content; takes no options.

        The payload of a contiguous array refers to its memory: don't change the array before it is stored.

        Raises:
            UnsupportedTypeError: If ``obj`` is no array, or of a dtype that .npy can't hold.
        """
        if not isinstance(obj, (np.ndarray, np.generic)):
            raise unexpected(obj, "a numpy array", "use add_data, which stores it as its own type")
        _check_class(obj)
        _check_dtype(np.asarray(obj).dtype)
        if npy.grows(obj.dtype, obj.size) or (not obj.dtype.itemsize and obj.size > npy.MOST_EMPTY):
            raise InvalidInputError(
                f"the array has {obj.size:,} values of the dtype {obj.dtype}, which take no bytes",
                kind="unsupported-dtype",
                hint="note its shape as metadata instead",
                dtype=str(obj.dtype),
            )
        details = {
            "shape": list(obj.shape),
            "dtype": str(obj.dtype),
            "nbytes": int(obj.nbytes),
            "order": "F" if npy.is_fortran(np.asarray(obj)) else "C",
        }
        if extras := extras_of(np.asarray(obj).dtype):
            details["dtype_extras"] = extras
        if isinstance(obj, np.ma.MaskedArray):
            masked = obj
            return Encoded(
                kind=self.kind,
                format="npz",
                media_type="application/x-npz",
                payload=lambda: _masked(masked, scratch),
                details={**details, "class": "masked"},
            )
        for name, kind in _SUBCLASSES.items():
            if isinstance(obj, kind):
                details["class"] = name
        array = np.asarray(obj)
        return Encoded(
            kind=self.kind,
            format="npy",
            media_type="application/x-npy",
            payload=Buffers((npy.header(array), npy.memory(array))),
            details=details,
        )

    def decode(self, source: Source, details: Mapping[str, object], *, mmap: bool = False) -> Any:
        """Return the array, writable and over memory that nobody else holds (it can't be resized in place).

        Args:
            source: The .npy or .npz content.
            details: Names the subclass of the array and the extras of its dtype, if any.
            mmap: Map the local file instead: read-only, and only the pages that are touched are read.
        """
        subclass, extras = details.get("class"), details.get("dtype_extras")
        try:
            if subclass == "masked":
                with source.open() as file:
                    parts: Mapping[str, Any] = npy.read_npz(file, source.size_bytes)
                masked = np.ma.MaskedArray(
                    with_extras(parts["data"], extras), parts["mask"], fill_value=parts["fill_value"][()]
                )
                return masked if parts["mask"].ndim or not parts["data"].ndim else _unmasked(masked)
            if mmap:
                path = source.path()
                with path.open("rb") as file:
                    npy.read_header(file, path.stat().st_size)
                limit = npy.MAX_HEADER_BYTES
                array = np.load(path, mmap_mode="r", allow_pickle=False, max_header_size=limit)
                return with_extras(npy.checked(array), extras)
            array = with_extras(source.decoded(npy.in_memory), extras)
        except npy.DAMAGE as exc:
            raise IntegrityError(f"the stored array can't be read: {exc}", kind="bad-content") from exc
        return array.view(_SUBCLASSES[subclass]) if subclass in _SUBCLASSES else array


def _check_class(obj: object) -> None:
    """Refuse arrays of other classes, which hold more than their numbers (units, say) and would come back without."""
    if isinstance(obj, np.generic) or type(obj) in _KNOWN:
        if not (isinstance(obj, np.ma.MaskedArray) and obj.hardmask):
            return
        name, problem, hint = "numpy.ma.MaskedArray", "its hard mask", "use .soften_mask() first"
    else:
        name, problem = type_name(obj), "its class"
        hint = "use numpy.asarray(x) and note its other attributes, such as units, as metadata"
    raise InvalidInputError(
        f"the array is a {name}, and {problem} would not come back", kind="array-subclass", hint=hint, type=name
    )


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise InvalidInputError(
            f"an array of dtype {dtype} holds Python objects, which would need pickle",
            kind="object-array",
            hint="give it a plain dtype with .astype(float) or .astype(str), or store .tolist() as JSON",
            dtype=str(dtype),
        )
    try:
        same = np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(without_metadata(dtype))) == dtype
    except (ValueError, TypeError):
        same = False
    if not same or dtype.type.__module__.partition(".")[0] != "numpy":
        raise InvalidInputError(
            f"an array of dtype {dtype} can't be written as .npy so that the same dtype comes back",
            kind="unsupported-dtype",
            hint="convert it with .astype first",
            dtype=str(dtype),
        )


def _masked(array: np.ma.MaskedArray[Any, Any], scratch: Path) -> Payload:
    mask, fill = np.asarray(np.ma.getmask(array)), np.asarray(array.fill_value)
    return npy.write_npz({"data": np.asarray(array.data), "mask": mask, "fill_value": fill}, scratch)


def _unmasked(array: np.ma.MaskedArray[Any, Any]) -> np.ma.MaskedArray[Any, Any]:
    return array if array.mask.any() else np.ma.MaskedArray(array.data, fill_value=array.fill_value)
