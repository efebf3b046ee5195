"""NumPy's files, written without a copy of the whole and read with bounds: .npy, and .npz that is not compressed.

No header is believed: an array takes no more memory than its file has bytes, and that is checked before the
memory is taken. So a .npz is read only if its members are stored as they are.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import ast
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import numpy as np
import pyarrow as pa

from lakefolio.errors import InvalidInputError
from lakefolio.items.dtype_extras import without_metadata
from lakefolio.items.handler import Buffers, FilePayload, Payload, changed

__all__ = [
    "DAMAGE",
    "MAX_HEADER_BYTES",
    "MOST_EMPTY",
    "check_stored",
    "grows",
    "header",
    "in_memory",
    "is_fortran",
    "memory",
    "read_header",
    "read_npz",
    "write_member",
    "write_npz",
]

MAX_HEADER_BYTES: Final = 1 << 20
"""NumPy's own limit of 10,000 refuses records of many fields; evaluating a header takes 100 times its size."""
DAMAGE: Final = (
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    SyntaxError,
    RecursionError,
    ArithmeticError,
    MemoryError,
    NotImplementedError,
    struct.error,
    zipfile.BadZipFile,
)
"""The errors of reading bytes that are no such file."""

MOST_EMPTY: Final = 1 << 20
"""How many values there may be that take no bytes: to show or to compare so many takes time all the same."""

_LAST_CHARACTER: Final = 0x10FFFF
_ALIGN: Final = 64  # as numpy writes it, so that the data can be mapped
_IN_MEMORY_BYTES: Final = 1 << 24
_PIECE_BYTES: Final = 1 << 23
_QUOTED: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_PLAIN: Final = re.compile(r"[\[\](){}:,\s0-9]*")


def is_fortran(array: np.ndarray[Any, Any]) -> bool:
    """Say whether an array is stored column by column."""
    return array.flags.f_contiguous and not array.flags.c_contiguous


def header(array: np.ndarray[Any, Any]) -> bytes:
    """Return the bytes before the data in a .npy file (numpy writes the same).

    Raises:
        InvalidInputError: If it is a record of so many fields that the header would be longer than 1 MiB.
    """
    fields = {
        "descr": np.lib.format.dtype_to_descr(without_metadata(array.dtype)),
        "fortran_order": is_fortran(array),
        "shape": array.shape,
    }
    text = "{" + "".join(f"'{key}': {value!r}, " for key, value in fields.items()) + "}"
    version, encoding = ((1, 0), "latin1") if text.isascii() else ((3, 0), "utf8")
    raw = text.encode(encoding)
    if len(raw) + _ALIGN > MAX_HEADER_BYTES:
        raise InvalidInputError(
            f"an array of a dtype with {len(array.dtype.names or ())} fields needs a header of {len(raw):,} bytes,"
            f" more than {MAX_HEADER_BYTES:,}",
            kind="unsupported-dtype",
            hint="store it as a table",
        )
    if len(raw) + _ALIGN + 10 >= 1 << 16 and version == (1, 0):
        version = (2, 0)
    length = "<H" if version == (1, 0) else "<I"
    start = len(np.lib.format.magic(*version)) + struct.calcsize(length)
    raw += b" " * (-(start + len(raw) + 1) % _ALIGN) + b"\n"
    return np.lib.format.magic(*version) + struct.pack(length, len(raw)) + raw


def grows(dtype: np.dtype[Any], count: int) -> bool:
    """Say whether NumPy gives values of a dtype without bytes some when it makes an array over them."""
    return bool(count) and not dtype.itemsize and dtype.kind in "SUV" and dtype.names is None


def memory(array: np.ndarray[Any, Any]) -> bytes | memoryview:
    """Return the data of a .npy file: the array's own memory if it is contiguous."""
    flat = np.ascontiguousarray(array.T if is_fortran(array) else array)
    if not flat.nbytes:
        return b""
    return flat.reshape(-1).view(np.uint8).data


def read_header(file: BinaryIO, size_bytes: int) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Read the header of a .npy file and leave the file at its data.

    Args:
        file: Read from where it stands.
        size_bytes: The size of header and data.

    Returns:
        The dtype, the shape, and whether the data lies in Fortran order.

    Raises:
        ValueError: If it is no such header, of Python objects, or for more or less data than there is. DAMAGE lists
            the others.
    """
    version = np.lib.format.read_magic(file)
    length = "<H" if version == (1, 0) else "<I"
    (size,) = struct.unpack(length, file.read(struct.calcsize(length)))
    if size > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {size:,} bytes")
    text = file.read(size).decode("utf8" if version == (3, 0) else "latin1")
    # nothing but brackets, numbers, texts and these two words, so that evaluating it can't run deep
    bare = _QUOTED.sub("0", text).replace("True", "0").replace("False", "0")
    if not _PLAIN.fullmatch(bare):
        raise ValueError(f"a header that is no .npy header: {text[:60]!r}")
    fields = ast.literal_eval(text)
    dtype, shape = np.lib.format.descr_to_dtype(fields["descr"]), tuple(fields["shape"])
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if not all(type(one) is int and one >= 0 for one in shape):
        raise ValueError(f"a shape of {shape!r}")
    count = int(np.prod(shape, dtype=object))
    data_bytes = size_bytes - len(np.lib.format.magic(*version)) - struct.calcsize(length) - size
    if count * dtype.itemsize != data_bytes:
        raise ValueError(f"{data_bytes} bytes of data, expected {count * dtype.itemsize}")
    if grows(dtype, count):
        raise ValueError(f"{count} values of the dtype {dtype}, which numpy makes larger")
    if not dtype.itemsize and count > MOST_EMPTY:
        raise ValueError(f"{count} values without a byte")
    return dtype, shape, bool(fields["fortran_order"])


def in_memory(content: memoryview) -> np.ndarray[Any, Any]:
    """Return the array in a .npy file that lies in memory: over that memory if it is writable, else a copy.

    Raises:
        ValueError: As :func:`read_header` does.
    """
    file = pa.BufferReader(pa.py_buffer(content))
    dtype, shape, fortran = read_header(file, len(content))
    order: Literal["F", "C"] = "F" if fortran else "C"
    array = checked(np.ndarray(shape, dtype, content, file.tell(), order=order))
    return array if array.flags.writeable and array.flags.aligned else array.copy(order="K")


def _read(file: BinaryIO, size_bytes: int) -> np.ndarray[Any, Any]:
    """Return the array in a .npy file, in memory of its own; arguments and errors as for :func:`read_header`."""
    dtype, shape, fortran = read_header(file, size_bytes)
    array = np.empty(shape[::-1] if fortran else shape, dtype)
    view = array.reshape(-1).view(np.uint8).data if array.nbytes else memoryview(b"")
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError("the data ends early")
        done += count
    checked(array)
    return array.T if fortran else array


def checked(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array whose texts are texts; ValueError if a character can't be, over which Python would stumble."""
    dtype = array.dtype
    if dtype.kind == "U" and array.nbytes:
        points = np.ascontiguousarray(array).reshape(-1).view(np.dtype("u4").newbyteorder(dtype.byteorder))
        if points.max() > _LAST_CHARACTER:
            raise ValueError("a text that holds no character")
    for name in dtype.names or ():
        checked(array[name])
    return array


def read_npz(file: BinaryIO, size_bytes: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays in a .npz file by name.

    Args:
        file: A seekable file.
        size_bytes: Its size.

    Raises:
        ValueError: If members are compressed or overlap, or for the reasons of :func:`read_header`.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        check_stored(members, size_bytes)
        found = {}
        for member in members:
            with archive.open(member) as content:
                found[member.filename.removesuffix(".npy")] = _read(content, member.file_size)  # type: ignore[arg-type]
    return found


def check_stored(members: list[zipfile.ZipInfo], size_bytes: int) -> None:
    """Raise ValueError unless the members of a zip file of ``size_bytes`` are stored as they are, each once."""
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise ValueError(f"member {member.filename[:60]!r} is compressed")
    if sum(member.file_size for member in members) > size_bytes:
        raise ValueError("members that overlap")


def write_npz(parts: Mapping[str, np.ndarray[Any, Any]], scratch: Path) -> Payload:
    """Write arrays as an uncompressed .npz, in memory if small; equal arrays give equal bytes.

    Raises:
        InvalidInputError: If an array changes meanwhile.
    """
    large = sum(part.nbytes for part in parts.values()) > _IN_MEMORY_BYTES
    target: Any = (scratch / "content.npz") if large else io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, part in parts.items():
            write_member(archive, name, part)
    return FilePayload(target, temporary=True) if large else Buffers((target.getvalue(),))


def write_member(archive: zipfile.ZipFile, name: str, part: np.ndarray[Any, Any]) -> None:
    """Write one array as a member of an open .npz.

    Raises:
        InvalidInputError: If it changes meanwhile.
    """
    info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
    content = (header(part), memory(part))
    with archive.open(info, "w", force_zip64=True) as file:
        for piece in _pieces(content):
            file.write(bytes(piece))  # a copy: the checksum and the file see the same bytes
    checksum = 0
    for piece in _pieces((content[0], memory(part))):
        checksum = zlib.crc32(piece, checksum)
    if checksum != info.CRC:
        raise changed(f"array {name!r}")


def _pieces(parts: tuple[bytes | memoryview, ...]) -> Iterator[bytes | memoryview]:
    for part in parts:
        for start in range(0, len(part), _PIECE_BYTES):
            yield part[start : start + _PIECE_BYTES]
