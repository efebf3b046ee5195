"""MLflow's artifacts: each file an item of a folio, equal content stored once, read back verified."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository, verify_artifact_path

from lakefolio.errors import AddressNotFoundError, InvalidInputError, NotFoundError
from lakefolio.format.quoting import quoted_path, unquoted
from lakefolio.interop.addresses import Address
from lakefolio.interop.mlflow.boundary import with_mlflow_errors
from lakefolio.interop.mlflow.fields import absent, invalid
from lakefolio.interop.mlflow.places import address_of, lake_of
from lakefolio.interop.tree import Info, Place, find_place

__all__ = ["LakefolioArtifactRepository"]

_LOGGED_MODELS = "mlflow/models/"


@with_mlflow_errors
class LakefolioArtifactRepository(ArtifactRepository):
    """Files below ``lakefolio://lake!folio:path``; of a lake alone those of the folio ``mlflow/artifacts``.

    Files of a run, or of a model that a run made, belong to that run of the lake as long as it goes on.
    """

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        found = address_of(artifact_uri)
        self._root = found if found.folio else replace(found, folio="mlflow/artifacts")
        self._lake = lake_of(self._root.lake)

    def _name(self, path: str | None) -> str:
        if path:
            verify_artifact_path(path)
        parts = [self._root.path, quoted_path(path or "")]
        return "/".join(part for part in parts if part)

    def _own_file(self) -> str:
        """Return the name of the file that it is the address of, if it is one."""
        return unquoted(self._root.path.rpartition("/")[2])

    def _place(self, path: str | None) -> Place:
        address = replace(self._root, path=self._name(path))
        return find_place(self._lake, address)

    # -- writing ---------------------------------------------------------------------------------------------

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Store a file, under its own name below ``artifact_path``. One commit."""
        self._put([(Path(local_file), _joined(artifact_path, Path(local_file).name))])

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Store a folder's files below ``artifact_path``. One commit, all or none."""
        found = []
        for folder, _, names in os.walk(local_dir):
            below = Path(folder).relative_to(local_dir).as_posix()
            here = _joined(artifact_path, "" if below == "." else below)
            found += [(Path(folder, name), _joined(here, name)) for name in sorted(names)]
        self._put(found)

    def _put(self, files: list[tuple[Path, str]]) -> None:
        run_id, folio = self._run_id(), self._lake.folio(self._root.folio)
        with self._lake.batch():
            for local, path in files:
                name = self._name(path)
                if run_id is not None:
                    try:
                        self._lake.add_run_output(run_id, name, local, to=self._root.folio, overwrite=True)
                        continue
                    except (NotFoundError, InvalidInputError) as exc:
                        if not isinstance(exc, NotFoundError) and exc.kind != "run-ended":
                            raise
                        run_id = None
                folio.add_artifact(name, local, overwrite=True)

    def _run_id(self) -> str | None:
        """Return the run that files belong to, as the folio's name tells."""
        folio = self._root.folio
        if folio.startswith("runs/"):
            return folio.removeprefix("runs/").partition("/")[0]
        if folio.startswith(_LOGGED_MODELS):
            try:
                known = self._lake.item(f"mlflow/logged-models:{folio.removeprefix(_LOGGED_MODELS)}")
            except NotFoundError:
                return None
            text = known.facts.get("source_run_id")
            return str(json.loads(text)) if text else None
        return None

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Remove files; the history keeps them."""
        place = self._place(artifact_path)
        below = f"{place.address.path}/" if place.address.path else ""
        names = [one for one in place.entries if one == place.address.path or one.startswith(below)]
        if names:
            self._lake.folio(self._root.folio).delete(names, warn_dependents=False)

    # -- reading ---------------------------------------------------------------------------------------------

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """Return the artifacts one level below a path; of a file, none."""
        place = self._place(path)
        if place.entry is not None and place.info()["type"] == "file":
            # an address of a file, as of a registered item, is a folder that holds it: MLflow downloads folders
            return [] if path else [FileInfo(self._own_file(), False, place.info()["size"])]
        try:
            found = place.listed()
        except AddressNotFoundError:
            return []
        own = [(Address.parse(one["name"]), one) for one in found]
        files = [_file_info(self._root, at, one) for at, one in own if at.folio == self._root.folio]
        return sorted(files, key=lambda one: str(one.path))

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        own = self._place(None) if remote_file_path == self._own_file() else None
        try:
            found = (own if own is not None and own.entry is not None else self._place(remote_file_path)).local()
        except AddressNotFoundError as exc:
            raise absent(f"No such artifact: '{remote_file_path}'") from exc
        if found.is_dir():
            raise invalid(f"Artifact '{remote_file_path}' is a folder")
        shutil.copyfile(found, local_path)


def _file_info(root: Address, at: Address, info: Info) -> FileInfo:
    folder = info["type"] == "directory"
    return FileInfo(unquoted(at.path.removeprefix(root.path).lstrip("/")), folder, None if folder else info["size"])


def _joined(*parts: str | None) -> str:
    return "/".join(part.strip("/") for part in parts if part)
