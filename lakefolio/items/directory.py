"""Kind ``directory``: a folder with everything in it, as one tar (FORMAT.md, "Kind directory").

The tar is plain (pax, not compressed) and the same for the same tree: members sorted by name, owner and times
zero, permission bits kept. Symbolic links are kept if they point inside the tree. Unpacking trusts nothing:
names that are absolute or climb out, links that leave the tree, devices and members given twice are refused
before anything is written.
"""

from __future__ import annotations

import atexit
import os
import posixpath
import re
import shutil
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar, Final

from lakefolio.errors import AlreadyExistsError, IntegrityError, InvalidInputError
from lakefolio.items.artifact import existing_path
from lakefolio.items.handler import Encoded, FilePayload, Source
from lakefolio.process.notice import LakefolioWarning, notice
from lakefolio.process.places import absolute_path, printable
from lakefolio.process.scratch import scratch_folder

__all__ = ["DirectoryHandler"]

_MODE_BITS: Final = 0o777
_NAME_BYTES: Final = 4096
_PIECE_BYTES: Final = 1 << 20
_FOREIGN: Final = re.compile(
    r'[<>:"|?*\x01-\x1f]|[. ](/|$)|(^|/)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|/|$)', re.IGNORECASE
)
"""Names that files on Windows can't have."""


class DirectoryHandler:
    """Stores local folders."""

    kind: ClassVar[str] = "directory"

    def accepts(self, obj: object) -> bool:
        """Say whether ``obj`` is the ``Path`` of a folder."""
        return isinstance(obj, Path) and os.path.isdir(os.path.expanduser(obj))

    def encode(self, obj: Any, *, scratch: Path, filename: str | None = None) -> Encoded:
        """Pack a folder into a tar in ``scratch``.

        Args:
            obj: The folder, a ``Path`` or str.
            scratch: Gets as large as the folder.
            filename: The name to remember the folder by; by default its own.

        Raises:
            LocalFileNotFoundError: If there is no such folder.
            InvalidInputError: If it is no folder, changes meanwhile, or holds a device, a link that leaves it, or a
                name that could not be unpacked (with a backslash, or not UTF-8).
        """
        root = existing_path(obj)
        if not root.is_dir():
            raise InvalidInputError(f"{str(root)!r} is not a directory", kind="not-a-directory", path=str(root))
        target = scratch / "content.tar"
        members = _packed(root, target)
        _check_unchanged(root, target, members)
        foreign = next((one.name for one in members if _FOREIGN.search(one.name)), None) or _twin(members)
        if foreign is not None:
            notice(
                LakefolioWarning(
                    f"folder {str(root)!r} holds {foreign!r}, a name that Windows and some other systems can't unpack",
                    kind="foreign-name",
                    hint="rename it if others than Linux and macOS should unpack the folder",
                )
            )
        files = [one for one in members if one.isreg()]
        return Encoded(
            kind=self.kind,
            format="tar",
            media_type="application/x-tar",
            payload=FilePayload(target, temporary=True),
            details={
                "source": "directory",
                "filename": filename or printable(root.name),
                "original_path": printable(str(obj)),
                "file_count": len(files),
                "size_bytes": sum(one.size for one in files),
            },
        )

    def decode(
        self,
        source: Source,
        details: Mapping[str, object],
        *,
        to: str | Path | None = None,
        as_: str | None = None,
    ) -> Path:
        """Unpack the folder and return its path.

        Args:
            source: The tar.
            details: Holds the folder's name.
            to: The folder to make; it must not exist, or be empty. By default a temporary one, which lives as
                long as the process.
            as_: ``"tar"`` for the path of the tar itself.

        Raises:
            IntegrityError: If the tar holds a member that would leave the folder.
            AlreadyExistsError: If ``to`` holds something.
        """
        if as_ not in (None, "path", "tar"):
            raise InvalidInputError(f"as_ is {as_!r}, expected 'path' or 'tar'", kind="bad-option")
        if as_ == "tar":
            return source.path()
        with source.open() as file:
            try:
                with tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as archive:
                    members = _checked(_members(archive), source.size_bytes)
                    root = _target(to, str(details.get("filename") or "directory"))
                    _unpack(archive, members, root)
            except tarfile.TarError as exc:
                raise IntegrityError(f"the stored tar can't be read: {exc}", kind="bad-content") from exc
        return root


def _members(archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    try:
        return archive.getmembers()
    except (ValueError, LookupError, OSError, MemoryError, ArithmeticError, RecursionError) as exc:
        raise tarfile.ReadError(f"{type(exc).__name__} {exc}") from exc


def _packed(root: Path, target: Path) -> list[tarfile.TarInfo]:
    """Write a folder as a tar and return its members."""
    members = []
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT, encoding="utf-8") as archive:
        for name, path, status in _walk(root, ""):
            member = _member(root, name, path, status)
            members.append(member)
            if not member.isreg():
                archive.addfile(member)
                continue
            try:
                with path.open("rb") as file:
                    archive.addfile(member, file)
            except (FileNotFoundError, tarfile.TarError, OSError) as exc:
                if isinstance(exc, PermissionError) or not _is_shorter(path, member.size):
                    raise
                raise _changed(path) from exc
    return members


def _is_shorter(path: Path, size_bytes: int) -> bool:
    return not path.is_file() or path.stat().st_size < size_bytes


def _check_unchanged(root: Path, target: Path, members: list[tarfile.TarInfo]) -> None:
    """Raise InvalidInputError if a folder has changed since it was packed: other members, or other bytes.

    Times say too little: a file may be written twice within one tick of the file system's clock.
    """
    packed = {member.name: member for member in members}
    try:
        with tarfile.open(target, "r:", encoding="utf-8") as archive:
            stored = {member.name: member for member in archive.getmembers()}
            for name, path, status in _walk(root, ""):
                was, found = packed.pop(name, None), _member(root, name, path, status)
                if was is None or (was.type, was.mode, was.size, was.linkname) != (
                    found.type,
                    found.mode,
                    found.size,
                    found.linkname,
                ):
                    raise _changed(path)
                if found.isreg():
                    content = archive.extractfile(stored[name])
                    with path.open("rb", buffering=0) as file:
                        if content is None or not _same(file, content):
                            raise _changed(path)
    except FileNotFoundError as exc:
        raise _changed(Path(exc.filename or root)) from exc
    if packed:
        raise _changed(root / next(iter(packed)))


def _same(one: IO[bytes], other: IO[bytes]) -> bool:
    while True:
        left, right = one.read(_PIECE_BYTES), other.read(_PIECE_BYTES)
        if left != right:
            return False
        if not left:
            return True


def _changed(path: Path) -> InvalidInputError:
    return InvalidInputError(
        f"{str(path)!r} changed while it was being added",
        kind="file-changed",
        hint="add the folder again when nothing writes to it",
        path=str(path),
    )


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path, os.stat_result]]:
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        name, path = prefix + entry.name, folder / entry.name
        status = entry.stat(follow_symlinks=False)
        yield name, path, status
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(path, f"{name}/")


def _twin(members: list[tarfile.TarInfo]) -> str | None:
    """Return a name that differs from another one in its case alone."""
    seen: set[str] = set()
    for member in members:
        plain = member.name.casefold()
        if plain in seen:
            return member.name
        seen.add(plain)
    return None


def _member(root: Path, name: str, path: Path, status: os.stat_result) -> tarfile.TarInfo:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(f"the name {name!r} in {str(root)!r} is not UTF-8", kind="bad-path") from None
    if (problem := _problem(name)) is not None:
        raise InvalidInputError(
            f"the name {name!r} in {str(root)!r} could not be unpacked again: {problem}",
            kind="bad-path",
            hint="rename it",
            path=str(path),
        )
    member = tarfile.TarInfo(name)
    member.mode = status.st_mode & _MODE_BITS
    if stat.S_ISREG(status.st_mode):
        member.size = status.st_size
    elif stat.S_ISDIR(status.st_mode):
        member.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        member.type, member.mode, member.linkname = tarfile.SYMTYPE, _MODE_BITS, os.readlink(path)
        if _leaves(name, member.linkname):
            raise InvalidInputError(
                f"the link {name!r} in {str(root)!r} points to {member.linkname!r}, outside the directory",
                kind="link-outside",
                hint="replace it by the file, or remove it",
                path=str(path),
            )
    else:
        raise InvalidInputError(
            f"{name!r} in {str(root)!r} is a device, socket or pipe", kind="not-a-file", path=str(path)
        )
    return member


def _problem(name: str) -> str | None:
    """Say why a name is not unpacked, here or elsewhere."""
    parts = name.split("/")
    if len(name.encode(errors="replace")) > _NAME_BYTES:
        return f"it is longer than {_NAME_BYTES:,} bytes"
    if not all(parts) or any(part in (".", "..") or "\\" in part or "\0" in part for part in parts):
        return "its name leaves the directory, or does on other systems"
    if os.name == "nt" and any(":" in part for part in parts):
        return "its name leaves the directory"
    return None


def _leaves(name: str, link: str) -> bool:
    """Say whether a link might lead out of the tree; going up is allowed at its start only, before other links."""
    parts = link.split("/")
    down = next((index for index, part in enumerate(parts) if part not in ("..", ".")), len(parts))
    if link.startswith("/") or "\\" in link or not link or ".." in parts[down:]:
        return True
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
    return inside == ".." or inside.startswith("../")


def _checked(members: list[tarfile.TarInfo], size_bytes: int) -> list[tarfile.TarInfo]:
    """Return the members if each stays inside, none is written through a link, and all fit into the tar's size."""
    kinds = {member.name: member for member in members}
    seen: set[str] = set()
    left = size_bytes
    for member in members:
        left -= member.size if member.isreg() else 0
        problem = _problem(member.name)
        if problem is not None:
            pass
        elif not (member.isreg() or member.isdir() or member.issym()):
            problem = "it is no file, directory or symbolic link"
        elif member.issparse() or left < 0:
            problem = "it is larger than the tar it lies in"
        elif member.name in seen:
            problem = "it is there twice"
        elif any((up := kinds.get(above)) and not up.isdir() for above in _above(member.name)):
            problem = "it lies below something that is no directory"
        elif member.issym() and _leaves(member.name, member.linkname):
            problem = f"it links to {member.linkname!r}, outside the directory"
        if problem:
            raise IntegrityError(
                f"the stored directory holds {member.name!r}, which is refused: {problem}",
                kind="unsafe-member",
                member=member.name,
            )
        seen.add(member.name)
    return members


def _above(name: str) -> Iterator[str]:
    parts = name.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _target(to: str | Path | None, name: str) -> Path:
    if to is not None:
        root = Path(absolute_path(to))
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise AlreadyExistsError(f"{str(root)!r} exists and is not an empty directory", path=str(root))
        root.mkdir(parents=True, exist_ok=True)
        return root
    temporary = scratch_folder()
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    plain = "".join(letter for letter in name if letter.isalnum() or letter in "._- ").strip(". ")
    root = temporary / (plain or "directory")
    root.mkdir()
    return root


def _unpack(archive: tarfile.TarFile, members: list[tarfile.TarInfo], root: Path) -> None:
    folders = [member for member in members if member.isdir()]
    for member in folders:
        (root / member.name).mkdir(parents=True, exist_ok=True)
    for member in members:
        if member.isreg():
            path = root / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = archive.extractfile(member)
            if content is None:
                raise IntegrityError(f"the stored directory has no content for {member.name!r}", kind="bad-content")
            with content, path.open("xb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
            path.chmod(member.mode & _MODE_BITS)
    for member in members:  # links last, so that nothing is ever written through one
        if member.issym():
            path = root / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(member.linkname)
    for member in reversed(folders):  # last, innermost first: a folder may be kept without write permission
        (root / member.name).chmod(member.mode & _MODE_BITS)
