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
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from lakefolio.errors import AlreadyExistsError, IntegrityError, InvalidInputError
from lakefolio.items.artifact import existing_path
from lakefolio.items.handler import Encoded, FilePayload, Source

__all__ = ["DirectoryHandler"]

_MODE_BITS: Final = 0o777


class DirectoryHandler:
    """Stores local folders."""

    kind: ClassVar[str] = "directory"

    def accepts(self, obj: object) -> bool:
        """Say whether ``obj`` is the ``Path`` of a folder."""
        return isinstance(obj, Path) and obj.expanduser().is_dir()

    def encode(self, obj: Any, *, scratch: Path, filename: str | None = None) -> Encoded:
        """Pack a folder into a tar in ``scratch``.

        Args:
            obj: The folder, a ``Path`` or str.
            scratch: Gets as large as the folder.
            filename: The name to remember the folder by; by default its own.

        Raises:
            LocalFileNotFoundError: If there is no such folder.
            InvalidInputError: If it is no folder, or holds a device, a link that leaves it, or a name that is
                not UTF-8.
        """
        root = existing_path(obj)
        if not root.is_dir():
            raise InvalidInputError(f"{str(root)!r} is not a directory", kind="not-a-directory", path=str(root))
        target = scratch / "content.tar"
        files = size = 0
        with tarfile.open(target, "w", format=tarfile.PAX_FORMAT, encoding="utf-8") as archive:
            for name, path, status in _walk(root, ""):
                member = _member(root, name, path, status)
                if member.isreg():
                    files, size = files + 1, size + member.size
                    with path.open("rb") as file:
                        archive.addfile(member, file)
                else:
                    archive.addfile(member)
        return Encoded(
            kind=self.kind,
            format="tar",
            media_type="application/x-tar",
            payload=FilePayload(target, temporary=True),
            details={
                "source": "directory",
                "filename": filename or root.name,
                "original_path": str(obj),
                "file_count": files,
                "size_bytes": size,
            },
        )

    def decode(
        self,
        source: Source,
        details: Mapping[str, Any],
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
                    members = _checked(archive.getmembers())
                    root = _target(to, str(details.get("filename") or "directory"))
                    _unpack(archive, members, root)
            except tarfile.TarError as exc:
                raise IntegrityError(f"the stored tar can't be read: {exc}", kind="bad-content") from exc
        return root


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path, os.stat_result]]:
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        name, path = prefix + entry.name, folder / entry.name
        status = entry.stat(follow_symlinks=False)
        yield name, path, status
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(path, f"{name}/")


def _member(root: Path, name: str, path: Path, status: os.stat_result) -> tarfile.TarInfo:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(f"the name {name!r} in {str(root)!r} is not UTF-8", kind="bad-path") from None
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


def _leaves(name: str, link: str) -> bool:
    """Say whether a link might lead out of the tree; going up is allowed at its start only, before other links."""
    parts = link.split("/")
    down = next((index for index, part in enumerate(parts) if part not in ("..", ".")), len(parts))
    if link.startswith("/") or "\\" in link or not link or ".." in parts[down:]:
        return True
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
    return inside == ".." or inside.startswith("../")


def _checked(members: list[tarfile.TarInfo]) -> list[tarfile.TarInfo]:
    """Return the members if each stays inside and none is written through a link."""
    kinds = {member.name: member for member in members}
    seen: set[str] = set()
    for member in members:
        parts = member.name.split("/")
        problem = None
        if (
            not all(parts)
            or any(part in (".", "..") or "\\" in part or "\0" in part for part in parts)
            or (os.name == "nt" and any(":" in part for part in parts))
        ):
            problem = "its name leaves the directory"
        elif not (member.isreg() or member.isdir() or member.issym()):
            problem = "it is no file, directory or symbolic link"
        elif member.name in seen:
            problem = "it is there twice"
        elif any((up := kinds.get("/".join(parts[:count]))) and not up.isdir() for count in range(1, len(parts))):
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


def _target(to: str | Path | None, name: str) -> Path:
    if to is not None:
        root = Path(to).expanduser().absolute()
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise AlreadyExistsError(f"{str(root)!r} exists and is not an empty directory", path=str(root))
        root.mkdir(parents=True, exist_ok=True)
        return root
    temporary = Path(tempfile.mkdtemp(prefix="lakefolio-"))
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
