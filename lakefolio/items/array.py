"""Kind ``array``: numpy arrays as .npy, without a copy and without pickle (FORMAT.md, "Kind array").

The stored bytes are a plain .npy file, or for a masked array an uncompressed .npz with ``data``, ``mask`` and
``fill_value``. Shape, dtype, byte order and C or Fortran order come back; strides and sharing do not.
"""

from __future__ import annotations

import ast
import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from lakefolio.errors import IntegrityError, InvalidInputError, UnsupportedTypeError
from lakefolio.items.handler import Buffers, Encoded, FilePayload, Payload, Source

__all__ = ["ArrayHandler"]

_ALIGN: Final = 64  # as numpy writes it, so that the data can be mapped
_MAX_HEADER: Final = 1 << 24  # numpy's own limit of 10,000 refuses records of many fields
_DAMAGE: Final = (
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    SyntaxError,
    RecursionError,
    OverflowError,
    struct.error,
    zipfile.BadZipFile,
)
"""What reading bytes that are no .npy may raise."""
_SUBCLASSES: Final = {"matrix": np.matrix, "recarray": np.recarray}


class ArrayHandler:
    """Stores numpy arrays of any dtype but object."""

    kind: ClassVar[str] = "array"

    def accepts(self, obj: object) -> bool:
        """Say whether ``obj`` is a numpy array."""
        return isinstance(obj, np.ndarray)

    def encode(self, obj: Any, *, scratch: Path) -> Encoded:
        """Describe the array's own memory as .npy content; takes no options.

        The payload of a contiguous array refers to its memory: don't change the array before it is stored.

        Raises:
            UnsupportedTypeError: If ``obj`` is no array, or of a dtype that .npy can't hold.
        """
        if not isinstance(obj, (np.ndarray, np.generic)):
            name = f"{type(obj).__module__}.{type(obj).__qualname__}"
            raise UnsupportedTypeError(
                f"expected a numpy array, got a {name}",
                hint="use add_data, which stores it as what it is",
                type=name,
            )
        _check_dtype(np.asarray(obj).dtype)
        details = {
            "shape": list(obj.shape),
            "dtype": str(obj.dtype),
            "nbytes": int(obj.nbytes),
            "order": "F" if _is_fortran(np.asarray(obj)) else "C",
        }
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
            payload=Buffers((_header(array), _memory(array))),
            details=details,
        )

    def decode(self, source: Source, details: Mapping[str, Any], *, mmap: bool = False) -> Any:
        """Return the array, writable and with memory of its own.

        Args:
            source: The .npy or .npz content.
            details: Names the subclass of the array, if any.
            mmap: Map the local file instead: read-only, and only the pages that are touched are read.
        """
        subclass = details.get("class")
        try:
            if subclass == "masked":
                with np.load(source.open(), allow_pickle=False) as parts:
                    masked = np.ma.MaskedArray(parts["data"], parts["mask"], fill_value=parts["fill_value"][()])
                    return masked if parts["mask"].ndim or not parts["data"].ndim else _unmasked(masked)
            if mmap:
                return np.load(source.path(), mmap_mode="r", allow_pickle=False, max_header_size=_MAX_HEADER)
            array = _read(source)
        except _DAMAGE as exc:
            raise IntegrityError(f"the stored array can't be read: {exc}", kind="bad-content") from exc
        return array.view(_SUBCLASSES[subclass]) if subclass in _SUBCLASSES else array


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise InvalidInputError(
            f"an array of dtype {dtype} holds Python objects, which would need pickle",
            kind="object-array",
            hint="give it a plain dtype with .astype(float) or .astype(str), or store .tolist() as JSON",
            dtype=str(dtype),
        )
    try:
        same = np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype)) == dtype
    except (ValueError, TypeError):
        same = False
    if not same or dtype.type.__module__.partition(".")[0] != "numpy":
        raise InvalidInputError(
            f"an array of dtype {dtype} can't be written as .npy so that the same dtype comes back",
            kind="unsupported-dtype",
            hint="convert it with .astype first",
            dtype=str(dtype),
        )


def _is_fortran(array: np.ndarray[Any, Any]) -> bool:
    return array.flags.f_contiguous and not array.flags.c_contiguous


def _header(array: np.ndarray[Any, Any]) -> bytes:
    """Return what stands before the data in a .npy file (numpy writes the same)."""
    fields = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": _is_fortran(array),
        "shape": array.shape,
    }
    text = "{" + "".join(f"'{key}': {value!r}, " for key, value in fields.items()) + "}"
    version, encoding = ((1, 0), "latin1") if text.isascii() else ((3, 0), "utf8")
    raw = text.encode(encoding)
    if len(raw) + _ALIGN + 10 >= 1 << 16 and version == (1, 0):
        version = (2, 0)
    length = "<H" if version == (1, 0) else "<I"
    start = len(np.lib.format.magic(*version)) + struct.calcsize(length)
    raw += b" " * (-(start + len(raw) + 1) % _ALIGN) + b"\n"
    return np.lib.format.magic(*version) + struct.pack(length, len(raw)) + raw


def _memory(array: np.ndarray[Any, Any]) -> bytes | memoryview:
    flat = np.ascontiguousarray(array.T if _is_fortran(array) else array)
    if not flat.nbytes:
        return b""
    return flat.reshape(-1).view(np.uint8).data


def _masked(array: np.ma.MaskedArray[Any, Any], scratch: Path) -> Payload:
    mask, fill = np.asarray(np.ma.getmask(array)), np.asarray(array.fill_value)
    return npz({"data": np.asarray(array.data), "mask": mask, "fill_value": fill}, scratch)


def _unmasked(array: np.ma.MaskedArray[Any, Any]) -> np.ma.MaskedArray[Any, Any]:
    return array if array.mask.any() else np.ma.MaskedArray(array.data, fill_value=array.fill_value)


def npz(parts: Mapping[str, np.ndarray[Any, Any]], scratch: Path) -> Payload:
    """Write arrays as an uncompressed .npz, in memory if small; equal arrays give equal bytes."""
    large = sum(part.nbytes for part in parts.values()) > 1 << 24
    target: Any = (scratch / "content.npz") if large else io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, part in parts.items():
            info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            with archive.open(info, "w", force_zip64=True) as file:
                file.write(_header(part))
                file.write(_memory(part))
    return FilePayload(target, temporary=True) if large else Buffers((target.getbuffer(),))


def _read(source: Source) -> np.ndarray[Any, Any]:
    with source.open() as file:
        version = np.lib.format.read_magic(file)
        length = "<H" if version == (1, 0) else "<I"
        (size,) = struct.unpack(length, file.read(struct.calcsize(length)))
        if size > _MAX_HEADER:
            raise ValueError(f"a header of {size} bytes")
        fields = ast.literal_eval(file.read(size).decode("utf8" if version == (3, 0) else "latin1"))
        dtype, shape = np.lib.format.descr_to_dtype(fields["descr"]), tuple(fields["shape"])
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        expected = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if expected != source.size_bytes - file.tell():
            raise ValueError(f"{source.size_bytes - file.tell()} bytes of data, expected {expected}")
        array = np.empty(shape[::-1] if fields["fortran_order"] else shape, dtype)
        view = array.reshape(-1).view(np.uint8).data if expected else memoryview(b"")
        done = 0
        while done < expected:
            count = file.readinto(view[done:])  # type: ignore[attr-defined]
            if not count:
                raise EOFError("the data ends early")
            done += count
    return array.T if fields["fortran_order"] else array
