"""Kind ``model``: scikit-learn estimators as skops, never pickle (FORMAT.md, "Kind model").

The bytes are a skops file made reproducible: the numbers it takes from memory addresses are counted instead, times and
padding are zero, so the same model stored twice is stored once. Before it is stored the file is loaded and compared.

Loading builds only types that skops trusts, parts of scikit-learn that are plain Python, trees and indexes whose nodes
are checked, and types that the reader names.
No claim of a file about itself widens that.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from lakefolio.errors import (
    IntegrityError,
    InvalidInputError,
    LakefolioError,
    UnsupportedTypeError,
    UntrustedContentError,
    brief,
    type_name,
)
from lakefolio.format.json_decode import is_trusted, trusted_names
from lakefolio.format.json_encode import encode
from lakefolio.items.handler import Buffers, Encoded, Source
from lakefolio.items.optional_imports import need
from lakefolio.items.round_trip import walk
from lakefolio.items.sklearn_bounds import check_bounds, plain_member
from lakefolio.items.sklearn_checks import CHECKED_TYPES, check_model
from lakefolio.items.sklearn_round_trip import check_comes_back, culprit, refusal, schema_nodes
from lakefolio.items.sklearn_trusted import PLAIN_TYPES
from lakefolio.process.imports import imported

__all__ = ["SklearnHandler"]

_MOST_NAMES: Final = 200


class SklearnHandler:
    """Stores estimators of scikit-learn and of libraries that follow its interface."""

    kind: ClassVar[str] = "model"
    uses_scratch: ClassVar[bool] = False

    def accepts(self, obj: object) -> bool:
        """Say whether ``obj`` is an estimator: of scikit-learn's base class, or with ``fit`` and what it is for."""
        base = imported("sklearn.base")
        if base is not None and isinstance(obj, base.BaseEstimator):
            return True
        kind = type(obj)
        uses = ("predict", "transform", "predict_proba")
        return callable(getattr(kind, "fit", None)) and any(callable(getattr(kind, use, None)) for use in uses)

    def encode(
        self,
        obj: object,
        *,
        scratch: Path,
        hyperparameters: Mapping[str, object] | None = None,
        custom: bool | None = None,
    ) -> Encoded:
        """Turn an estimator into a skops file.

        Args:
            obj: The estimator; any object that skops can write is taken.
            scratch: Not used.
            hyperparameters: Parameters of the training to record.
            custom: Accepted for code written for DataFolio, where it chose skops; here it always is.

        Raises:
            InvalidInputError: If it holds a lambda or a class that can't be found again by its name.
            UnsupportedTypeError: If skops can't write it, or would not give the same model back; ``path`` and
                ``type`` name the part that is at fault.
        """
        skops = need("skops.io", "storing a model")
        if isinstance(obj, type):
            raise UnsupportedTypeError(
                f"expected an estimator, got the class {obj.__qualname__}", hint="make an instance of it"
            )
        try:
            data = skops.dumps(obj)
        except Exception as exc:  # skops and the model's own classes may raise anything
            reason = f"can't be written: {brief(exc)}"
            raise refusal(obj, culprit(obj), reason) from exc
        content, schema = _reproducible(data, obj)
        check_comes_back(obj, content, schema)
        details: dict[str, object] = {
            "class": type_name(obj),
            "model_type": type(obj).__name__,
            "params": _params(obj),
            "versions": {
                one: found.__version__ for one in ("sklearn", "skops") if (found := imported(one)) is not None
            },
        }
        if hyperparameters is not None:
            details["hyperparameters"] = encode(dict(hyperparameters))
        if isinstance(width := getattr(obj, "n_features_in_", None), (int, np.integer)):
            details["n_features_in"] = int(width)
        if (names := getattr(obj, "feature_names_in_", None)) is not None:
            details["feature_names_in"] = [str(one) for one in names[:_MOST_NAMES]]
        return Encoded(
            kind=self.kind,
            format="skops",
            media_type="application/x-skops",
            payload=Buffers((content,)),
            details=details,
        )

    def decode(self, source: Source, details: Mapping[str, object], *, trusted: Iterable[object] = ()) -> Any:
        """Return the estimator.

        Args:
            source: The skops file.
            details: Not used: they come from the bucket.
            trusted: Types that may be built besides those of scikit-learn, numpy and scipy that skops trusts:
                ``"package.module.Class"``, a module or package (everything in it), or the classes themselves.

        Raises:
            UntrustedContentError: If the file holds a type that is not trusted; ``types`` lists them.
            IntegrityError: If it is no skops file, or its trees are malformed.
        """
        names = trusted_names(trusted)
        skops = need("skops.io", "loading a model")
        data = bytes(source.read())
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise IntegrityError(
                "the stored model is no skops file",
                kind="bad-content",
                hint="a pickle is never loaded; add the model again from its source",
            )
        try:
            check_bounds(data)
            unknown = set(skops.get_untrusted_types(data=data))
            refused = sorted(one for one in unknown - CHECKED_TYPES - PLAIN_TYPES if not is_trusted(one, names))
            if refused:
                raise UntrustedContentError(
                    f"the model holds types that are not trusted: {', '.join(refused)}",
                    hint=f"if you know where it comes from, load it with trusted={refused}",
                    types=refused,
                )
            model = skops.loads(data, trusted=sorted(unknown))
            check_model(model)
        except LakefolioError:
            raise
        except (ImportError, AttributeError) as exc:
            raise UnsupportedTypeError(
                f"the model needs a class that isn't there: {exc}",
                kind="missing-class",
                hint="install or define it, in the version the model was made with",
            ) from exc
        except Exception as exc:  # a file that is damaged, or classes that raise anything
            raise IntegrityError(f"the stored model can't be read: {exc}", kind="bad-content") from exc
        return model


def _params(obj: Any) -> dict[str, object]:
    try:
        found = obj.get_params(deep=False)
    except Exception:  # an estimator's own method may raise anything
        return {}
    return {str(key): _shown(value) for key, value in found.items()}


def _shown(value: object) -> object:
    try:
        return encode(value)
    except InvalidInputError:
        return repr(value)[:200]


def _reproducible(data: bytes, obj: object) -> tuple[bytes, dict[str, object]]:
    """Return a skops file that depends on the model only, and the document in its ``schema.json``."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(target, "w") as made:
        schema = json.loads(archive.read("schema.json"))
        files: dict[str, str] = {}
        ids: dict[int, int] = {}
        for node in schema_nodes(schema):
            _check_findable(node, obj)
            if (node.get("__module__"), node["__class__"]) == ("numpy", "memmap"):
                node["__class__"] = "ndarray"  # skops can't make a memmap, and the file that it maps stays here
            if "__id__" in node:
                if node.get("__loader__") in ("JsonNode", "TypeNode"):
                    del node["__id__"]  # sharing a number or a type means nothing, and differs from run to run
                else:
                    node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
            file = node.get("file")
            if isinstance(file, str) and file in archive.NameToInfo:
                node["file"] = files.setdefault(file, f"{len(files) + 1}{Path(file).suffix}")
        for file, short in files.items():
            made.writestr(zipfile.ZipInfo(short), plain_member(archive.read(file), file))
        made.writestr(zipfile.ZipInfo("schema.json"), json.dumps(schema, separators=(",", ":")))
    return target.getvalue(), schema


def _check_findable(node: Mapping[str, object], obj: object) -> None:
    module, wanted = node.get("__module__"), str(node["__class__"])
    known = imported(str(module))
    if module == "builtins" or known is None or hasattr(known, wanted.partition(".")[0]):
        return
    path = next((part.path for part in walk(obj) if _is_named(part.value, module, wanted)), "")
    raise InvalidInputError(
        f"this {type_name(obj)} holds {module}.{wanted}{f' at {path}' if path else ''}, which "
        "can't be found again by that name",
        kind="unreachable-class",
        hint="define functions and classes at the top of a module, not as a lambda or inside a function",
        type=f"{module}.{wanted}",
        path=path,
    )


def _is_named(value: object, module: object, name: str) -> bool:
    return any(
        getattr(one, "__name__", None) == name and getattr(one, "__module__", None) == module
        for one in (value, type(value))
    )
