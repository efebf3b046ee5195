"""Kind ``torch``: modules, state dicts and tensors as safetensors, never pickle (FORMAT.md, "Kind torch").

The file holds each tensor once. Its one metadata entry ``lakefolio`` is JSON: ``{"object": …, "order":
[names], "tied": {name: stored name}}`` with the order of the state dict and the names that share one tensor, and
of a module its flags where its class makes it otherwise (``torch_flags``).

A module comes back in one of three ways: as its state dict; with a class the reader gives; or with the class named
when it was added, if the reader's process has that class imported or the reader trusts it. A bucket never
makes a reader import anything, and only subclasses of ``torch.nn.Module`` are ever called.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from lakefolio.errors import IntegrityError, InvalidInputError, brief, type_name
from lakefolio.format.json_decode import decode, trusted_names
from lakefolio.format.json_encode import encode
from lakefolio.items.handler import Buffers, Encoded, FilePayload, Payload, Source, changed, unexpected
from lakefolio.items.optional_imports import need
from lakefolio.items.torch_attributes import other_attribute
from lakefolio.items.torch_classes import class_of, source_of
from lakefolio.items.torch_flags import checked_flags, other_flags, set_flags
from lakefolio.process.imports import imported

__all__ = ["TorchHandler"]

_IN_MEMORY_BYTES: Final = 16 << 20
_KEY: Final = "lakefolio"
_MAX_HEADER_BYTES: Final = 32 << 20
"""Parsing it takes ten times as much memory."""
_PER_TENSOR_BYTES: Final = 160
_MOST_MISSING: Final = 1 << 24


class TorchHandler:
    """Stores ``torch.nn.Module``, dicts of tensors by name, and single tensors."""

    kind: ClassVar[str] = "torch"

    def accepts(self, obj: object) -> bool:
        """Say whether ``obj`` is a module, a tensor, or a non-empty dict of tensors."""
        torch = imported("torch")
        if torch is None:
            return False
        if isinstance(obj, (torch.nn.Module, torch.Tensor)):
            return True
        return isinstance(obj, Mapping) and bool(obj) and all(isinstance(one, torch.Tensor) for one in obj.values())

    def encode(
        self,
        obj: object,
        *,
        scratch: Path,
        init_args: Mapping[str, object] | None = None,
        save_class: bool = False,
        hyperparameters: Mapping[str, object] | None = None,
    ) -> Encoded:
        """Turn tensors into a safetensors file.

        Args:
            obj: A module, a state dict, or a tensor.
            scratch: Gets a large file.
            init_args: The arguments by name with which the module's class makes one like it.
            save_class: Keep the source text of the class, for people and for ``trust_source``.
            hyperparameters: Parameters of the training to record.

        Raises:
            InvalidInputError: If a value is no plain tensor, the source of the class can't be found, or the class
                and ``init_args`` don't give a module that holds these tensors and has the same attributes. The
                class is called to find out, on the meta device where it allows that, so that no memory is taken;
                again with numbers if its attributes or non-persistent buffers seem to differ there.
        """
        torch = need("torch", "storing a torch model")
        need("safetensors.torch", "storing a torch model")
        details: dict[str, Any] = {
            "versions": {"python": ".".join(map(str, sys.version_info[:3])), "torch": str(torch.__version__)}
        }
        if isinstance(obj, torch.nn.Module):
            cls = type(obj)
            details |= {
                "object": "module",
                "class": f"{cls.__module__}:{cls.__qualname__}",
                "model_type": cls.__name__,
                "init_args": encode(dict(init_args or {})),
            }
            if save_class:
                details["class_source"] = source_of(cls)
            state: Mapping[Any, Any] = obj.state_dict()
        elif isinstance(obj, torch.Tensor):
            details |= {"object": "tensor", "dtype": str(obj.dtype)}
            state = {"tensor": obj}
        elif isinstance(obj, Mapping):
            details |= {"object": "state_dict"}
            state = dict(obj)  # in one step, so that no other thread changes its names meanwhile
        else:
            raise unexpected(obj, "a torch module or state dict")
        if hyperparameters is not None:
            details["hyperparameters"] = encode(dict(hyperparameters))
        for name, value in state.items():
            _check_tensor(name, value)
        if isinstance(obj, torch.Tensor):
            details["shape"] = list(obj.shape)
        flags: dict[str, object] = {}
        if isinstance(obj, torch.nn.Module):
            details["parameter_count"] = sum(one.numel() for one in obj.parameters())
            flags = other_flags(obj, _made_alike(obj, state, details["init_args"]))
        details["tensor_count"] = len(state)
        tensors, tied = _distinct(state)
        header = {"object": details["object"], "order": list(state), "tied": tied, **flags}
        metadata = {_KEY: json.dumps(header, sort_keys=True)}
        if 2 * len(metadata[_KEY]) + _PER_TENSOR_BYTES * len(tensors) > _MAX_HEADER_BYTES:
            raise InvalidInputError(
                f"a state dict of {len(state):,} tensors needs a header of more than {_MAX_HEADER_BYTES:,} bytes",
                kind="unsupported-tensor",
                hint="join small tensors into larger ones",
            )

        def payload() -> Payload:
            from safetensors.torch import load, load_file, save, save_file

            if sum(one.numel() * one.element_size() for one in tensors.values()) <= _IN_MEMORY_BYTES:
                content: bytes = save(tensors, metadata)
                _check_unchanged(state, load(content))
                return Buffers((content,))
            target = scratch / "content.safetensors"
            save_file(tensors, str(target), metadata)
            _check_unchanged(state, load_file(str(target)))
            return FilePayload(target, temporary=True)

        return Encoded(
            kind=self.kind,
            format="safetensors",
            media_type="application/vnd.safetensors",
            payload=payload,
            details=details,
        )

    def decode(
        self,
        source: Source,
        details: Mapping[str, Any],
        *,
        reconstruct: bool = True,
        model_class: Any = None,
        init_args: Mapping[str, Any] | None = None,
        trusted: Iterable[Any] = (),
        trust_source: bool = False,
        device: Any = "cpu",
        strict: bool = True,
    ) -> Any:
        """Return the module, or the state dict or tensor that was added.

        Args:
            source: The safetensors file.
            details: Names the class of a module and its arguments.
            reconstruct: False returns the state dict of a module.
            model_class: The class (or a function) that makes the module from ``init_args``.
            init_args: Used instead of those that were stored.
            trusted: Modules or classes that may be imported to make the module.
            trust_source: Run the stored source text of the class. That is code from the bucket: only for
                lakes whose writers you trust.
            device: Where to put the tensors.
            strict: Whether the names of the tensors must be exactly those of the module.

        Raises:
            UntrustedContentError: If the class is neither imported nor trusted; the hint names the ways out.
            InvalidInputError: If the module can't be made or doesn't fit its tensors.
            IntegrityError: If the file can't be read.
        """
        torch = need("torch", "loading a torch model")
        need("safetensors.torch", "loading a torch model")
        names = trusted_names(trusted)
        kind, state, flags = _load(source, device)
        if kind == "tensor":
            return state["tensor"]
        if kind != "module" or not reconstruct:
            return state
        made_by = model_class if model_class is not None else class_of(details, names, torch, trust_source=trust_source)
        arguments = dict(init_args) if init_args is not None else decode(details.get("init_args") or {}, trusted=names)
        try:
            if model_class is None and init_args is None:
                _check_shapes(made_by, arguments, state)
            module = made_by(**arguments)
            _fill(module, state, strict=strict)
            set_flags(module, flags)
        except Exception as exc:  # the user's own constructor may raise anything
            raise InvalidInputError(
                f"{getattr(made_by, '__qualname__', made_by)} with the arguments {sorted(arguments)} doesn't give "
                f"the module that was stored: {brief(exc)}",
                kind="model-mismatch",
                hint="pass init_args=…, another model_class=…, or reconstruct=False for the state dict",
            ) from exc
        return module.to(device)


def _made_alike(module: object, state: Mapping[str, object], init_args: Any) -> Any:
    """Make a module from its class and arguments; refuse one that they would not give back."""
    cls, made = type(module), None
    names: list[str] = sorted(init_args)
    hint = "pass init_args={…} with which the class makes it, or add its state_dict()"
    try:
        made = _made_like(cls, decode(init_args))
        problem = _other_state(made.state_dict(), state)
        if problem is None and repr(made) != repr(module):
            problem = _other_line(repr(made), repr(module))
        if problem is None and other_attribute(made, module) is not None:
            problem = other_attribute(_made_whole(cls, decode(init_args), state), module)
            hint = (
                "pass init_args={…} with which the class sets it, keep it as a persistent buffer, "
                "or add the state_dict() of the module"
            )
    except Exception as exc:  # a constructor may raise anything
        problem = brief(exc)
    if problem is not None:
        given = f"the arguments {names}" if names else "no arguments"
        raise InvalidInputError(
            f"{cls.__qualname__} with {given} doesn't give the module that is to be stored: {problem}",
            kind="model-mismatch",
            hint=hint,
            type=f"{cls.__module__}.{cls.__qualname__}",
        )
    return made


def _made_like(cls: Any, arguments: dict[str, Any]) -> Any:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.seed()  # random numbers must not come out as they did for the given module
        try:
            with torch.device("meta"):
                return cls(**arguments)
        except (RuntimeError, NotImplementedError):  # it looks at its numbers, which are none on this device
            return cls(**arguments)


def _made_whole(cls: Any, arguments: dict[str, Any], state: Mapping[str, Any]) -> Any:
    """Make a module as ``decode`` does."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.seed()
        made = cls(**arguments)
    _fill(made, state, strict=True)
    return made


def _fill(module: Any, state: Mapping[str, Any], *, strict: bool) -> None:
    import torch

    for name, tensor in module.state_dict(keep_vars=True).items():
        if not isinstance(tensor, torch.Tensor) or name not in state or _is_extra(name):
            continue
        if tensor.dtype != state[name].dtype:  # a module that was halved stays halved
            tensor.data = tensor.data.to(state[name].dtype)
    module.load_state_dict(state, strict=strict)


def _is_extra(name: str) -> bool:
    """Say whether an entry is what a module's own ``get_extra_state`` gives, of whatever shape."""
    return name.rpartition(".")[2] == "_extra_state"


def _other_state(made: Mapping[str, Any], state: Mapping[str, Any]) -> str | None:
    if made.keys() != state.keys():
        lacking, more = sorted(state.keys() - made.keys())[:3], sorted(made.keys() - state.keys())[:3]
        return f"it lacks the tensors {lacking} and has {more} instead"
    for name, tensor in state.items():
        if not _is_extra(name) and made[name].shape != tensor.shape:
            return f"its {name} has the shape {tuple(made[name].shape)}, expected {tuple(tensor.shape)}"
    return None


def _other_line(made: str, module: str) -> str:
    lines = zip(made.splitlines(), module.splitlines(), strict=False)
    one, other = next(((one, other) for one, other in lines if one != other), (made, module))
    return f"it has {one.strip()[:80]}, expected {other.strip()[:80]}"


def _check_tensor(name: object, value: object) -> None:
    import torch

    problem = None
    if not isinstance(name, str):
        problem = f"its name is a {type(name).__qualname__}, expected text"
    elif name == "__metadata__":
        problem = "safetensors keeps that name for itself"
    elif not isinstance(value, torch.Tensor):
        problem = f"it is a {type_name(value)}, expected a tensor"
    elif torch.nn.parameter.is_lazy(value):
        problem = "it has no shape before the module was called"
    elif value.is_nested:
        problem = "it is a nested tensor, expected a dense one"
    elif value.is_conj() or value.is_neg():
        problem = "it is a view with its signs still to be turned, expected what .resolve_conj().resolve_neg() gives"
    elif value.layout is not torch.strided or value.is_quantized or value.device.type == "meta":
        problem = f"it is a {value.layout} tensor of {value.dtype} on {value.device}, expected a dense one"
    elif value.dtype not in _stored_dtypes():
        problem = f"its dtype {value.dtype} is none that safetensors holds"
    if problem:
        raise InvalidInputError(
            f"the entry {str(name)!r} of the state dict can't be stored: {problem}",
            kind="unsupported-tensor",
            hint="add optimizer states and the like as items of their own, and convert tensors to a plain dtype",
            entry=str(name),
        )


def _check_unchanged(state: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Raise InvalidInputError if a tensor has changed since it was saved, compared bit by bit."""
    import torch

    for name, tensor in saved.items():
        live = state[name].detach().to("cpu").contiguous()
        if not torch.equal(live.reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8)):
            raise changed(f"tensor {name!r}", entry=name)


def _stored_dtypes() -> frozenset[Any]:
    from safetensors import torch as tensors

    return frozenset(tensors._TYPES.values())


def _distinct(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return each tensor once, dense and in memory of its own, and which names share one."""
    first: dict[Any, str] = {}
    tensors: dict[str, Any] = {}
    tied: dict[str, str] = {}
    for name, value in state.items():
        tensor = value.detach().to("cpu")
        place = (tensor.data_ptr(), tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)
        if tensor.numel() and place in first:
            tied[name] = first[place]
            continue
        first[place] = name
        whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
        # safetensors refuses views; .contiguous() alone would keep one that is a dense part of a larger tensor
        tensors[name] = tensor if whole else tensor.contiguous().clone()
    pointers: set[int] = set()
    for name, tensor in tensors.items():  # two shapes over the same memory
        if tensor.numel() and tensor.data_ptr() in pointers:
            tensors[name] = tensor.clone()
        pointers.add(tensor.data_ptr())
    return tensors, tied


def _load(source: Source, device: object) -> tuple[str, dict[str, Any], dict[str, object]]:
    from safetensors import SafetensorError, safe_open

    path = source.path()
    try:
        with path.open("rb") as start:
            _check_header(start.read(8), path.stat().st_size)
        with safe_open(str(path), framework="pt", device=str(device)) as file:
            header = json.loads((file.metadata() or {}).get(_KEY) or "{}")
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        order, tied = header.get("order", list(stored)), header.get("tied", {})
        state = {name: stored[tied.get(name, name)] for name in order}
        return header.get("object", "state_dict"), state, checked_flags(header)
    except (SafetensorError, ValueError, TypeError, LookupError, AttributeError, RecursionError, OSError) as exc:
        raise IntegrityError(f"the stored tensors can't be read: {exc}", kind="bad-content") from exc


def _check_shapes(made_by: Any, arguments: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Raise ValueError if the stored arguments ask for other tensors than are stored; takes no memory for them.

    A class that can't be made without memory is left to its own code.
    """
    import torch

    try:
        with torch.device("meta"):
            made = made_by(**arguments).state_dict()
        shapes = {name: tuple(one.shape) for name, one in made.items() if not _is_extra(name)}
    except Exception:
        return
    for name, shape in shapes.items():
        if name in state and shape != tuple(state[name].shape):
            raise ValueError(f"{name!r} would have the shape {shape}, stored is {tuple(state[name].shape)}")
    asked = sum(math.prod(shape) for shape in shapes.values())
    stored = sum(one.numel() for one in state.values())
    if asked > 2 * stored + _MOST_MISSING:
        raise ValueError(f"its tensors would have {asked:,} numbers, stored are {stored:,}")


def _check_header(start: bytes, size_bytes: int) -> None:
    """Raise ValueError if a file begins with a header of tensors that is longer than any that is written."""
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > min(_MAX_HEADER_BYTES, size_bytes - 8):
        raise ValueError(f"a header of {length:,} bytes")
