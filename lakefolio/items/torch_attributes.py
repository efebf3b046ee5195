"""Say whether a torch module that was made again is the module that was given, apart from what its state dict holds.

Compared are the classes of the modules inside, their plain attributes, and their buffers that are not persistent.
Hooks are not: they are not stored. Nor is whether two attributes share one object. Parameters
and buffers inside an attribute, such as the list of weights of an LSTM, are compared by name, since their numbers
are in the state dict.
"""

from __future__ import annotations

import functools
import weakref
from typing import Any, Final

from lakefolio.items.round_trip import Apart, first_difference, take_apart

__all__ = ["other_attribute"]

_INTERNAL: Final = frozenset({"_compiled_call_impl", "_is_hf_initialized"})
_OF_LIGHTNING: Final = frozenset(
    {
        "_trainer",
        "_fabric",
        "_fabric_optimizers",
        "_current_fx_name",
        "_device",
        "_dtype",
        "_metric_attributes",
        "_param_requires_grad_state",
        "_compiler_ctx",
    }
)
"""What a LightningModule notes down while it is trained."""
_SELF_NAMED: Final = ("<lambda>", "<locals>")


def other_attribute(made: Any, module: Any) -> str | None:
    """Compare a module with the one made from its class and arguments.

    Returns:
        Which part of ``module`` differs and in which way, or None if all are alike.
    """
    apart = _Apart(made, module)
    inside, expected = (dict(one.named_modules(remove_duplicate=False)) for one in (made, module))
    for name, one in expected.items():
        other = inside.get(name)
        if other is None:
            return f"it lacks the module {name!r}"
        if not _same_class(type(one), type(other)):
            return f"its module {name!r} is a {type(other).__qualname__}, expected a {type(one).__qualname__}"
        problem = _other_value(f"{name}." if name else "", one, other, apart)
        if problem is not None:
            return problem
    more = inside.keys() - expected.keys()
    return f"it has the module {min(more)!r} as well" if more else None


def _other_value(prefix: str, one: Any, other: Any, apart: _Apart) -> str | None:
    for what, values, values_made in (
        ("attribute", _attributes(one), _attributes(other)),
        ("non-persistent buffer", _passing_buffers(one), _passing_buffers(other)),
    ):
        for key in sorted(values.keys() | values_made.keys(), key=str):
            where = f"the {what} {prefix}{key}"
            if key not in values_made:
                return f"{where} is {_short(values[key])}, and the module made has none"
            if key not in values:
                return f"{where} is not there, and is {_short(values_made[key])} in the module made"
            difference = first_difference(values[key], values_made[key], apart=apart, sharing=False)
            if difference is not None:
                part, why = difference
                if part.path or what != "attribute" or _short(values[key]) == _short(values_made[key]):
                    return f"{where}{part.path} {why}"
                return f"{where} is {_short(values_made[key])}, expected {_short(values[key])}"
    return None


def _same_class(one: type, other: type) -> bool:
    """Say whether two classes are one, or two of one name: a parametrized module gets a class of its own."""
    return one is other or (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


def _attributes(module: Any) -> dict[Any, Any]:
    import torch

    cls = type(module)
    values: dict[Any, Any] = dict(vars(module))
    try:
        state = module.__getstate__()
    except Exception:  # a parametrized module refuses
        state = values
    if isinstance(state, tuple) and len(state) == 2 and all(one is None or type(one) is dict for one in state):
        state = {**(state[0] or {}), **(state[1] or {})}  # attributes, and those in __slots__
    if type(state) is dict:  # without what the class itself calls no part of its state
        values = state
    elif state is not None:
        values["__getstate__()"] = state
    left_out = _INTERNAL | vars(torch.nn.Module()).keys() | _recomputed(module)
    if any(one.__name__ == "LightningModule" for one in cls.__mro__):
        left_out |= _OF_LIGHTNING
    return {
        key: value
        for key, value in values.items()
        if key not in left_out and not isinstance(getattr(cls, str(key), None), functools.cached_property)
    }


def _recomputed(module: Any) -> set[str]:
    """Return the weights that torch computes from others before each call: by weight_norm, spectral_norm, pruning."""
    hooks = [one for one in module._forward_pre_hooks.values() if type(one).__module__.startswith("torch.nn.utils.")]
    names = [getattr(one, key, None) for one in hooks for key in ("name", "_tensor_name")]
    return {name for name in names if isinstance(name, str)}


def _passing_buffers(module: Any) -> dict[str, Any]:
    return {name: module._buffers.get(name) for name in module._non_persistent_buffers_set}


def _short(value: object) -> str:
    try:
        return " ".join(repr(value).split())[:60]
    except Exception:  # other people's classes may raise anything
        return f"a {type(value).__qualname__}"


class _Bits:
    """A tensor, compared bit by bit wherever it is."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def __eq__(self, other: object) -> bool:
        import torch

        if not isinstance(other, _Bits):
            return False
        one, two = self.tensor, other.tensor
        if (one.dtype, one.shape, one.layout, one.is_meta) != (two.dtype, two.shape, two.layout, two.is_meta):
            return False
        try:
            return one.is_meta or bool(torch.equal(_bytes(one), _bytes(two)))
        except (RuntimeError, NotImplementedError):  # of a layout whose numbers can't be listed
            return True

    __hash__ = None  # type: ignore[assignment]


class _Named:
    """What a module has under one name, or under several if it is shared."""

    __slots__ = ("names",)

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Named) and bool(self.names & other.names)

    __hash__ = None  # type: ignore[assignment]


def _bytes(tensor: Any) -> object:
    import torch

    if tensor.is_quantized:
        tensor = tensor.dequantize()
    dense = tensor.detach().to_dense() if tensor.layout is not torch.strided else tensor.detach()
    return dense.to("cpu").resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)


class _Apart:
    """Takes a value of two modules apart; their own modules, parameters and buffers are known by their names."""

    def __init__(self, *modules: Any) -> None:
        self.names: dict[int, set[str]] = {}
        for module in modules:
            for prefix, one in module.named_modules(remove_duplicate=False):
                passing = one._non_persistent_buffers_set
                held = [*one._parameters.items(), *(pair for pair in one._buffers.items() if pair[0] not in passing)]
                for name, value in (("", one), *held):
                    self.names.setdefault(id(value), set()).add(f"{prefix}:{name}")

    def __call__(self, obj: Any) -> Apart:
        import torch

        if isinstance(obj, (torch.nn.Module, torch.Tensor)):
            if id(obj) in self.names:
                return _Named(self.names[id(obj)]), []
            return self._module(obj) if isinstance(obj, torch.nn.Module) else (_Bits(obj), [])
        if isinstance(obj, type):
            return (obj.__module__, obj.__qualname__), []
        if isinstance(obj, weakref.ReferenceType):
            return None, []
        qualname = getattr(obj, "__qualname__", None)
        if callable(obj) and isinstance(qualname, str):
            return _function(obj, qualname)
        try:
            return take_apart(obj)
        except Exception:  # a lock, a file, a generator: nothing to compare them by
            return None, []

    def _module(self, module: Any) -> Apart:
        """Take a module apart that is hidden in a plain attribute, whose parameters the state dict lacks."""
        held = {**_attributes(module), **module._parameters, **module._buffers, **module._modules}
        return len(held), [(f".{key}", value) for key, value in held.items()]


def _function(obj: Any, qualname: str) -> Apart:
    """Take a function apart: it is known by its name, or if it has none of its own, by its code and what it uses."""
    parts: list[tuple[str, Any]] = []
    owner = getattr(obj, "__self__", None)
    if owner is not None and hasattr(obj, "__func__"):
        parts.append((".__self__", owner))
    name = (getattr(obj, "__module__", None), qualname)
    code = getattr(obj, "__code__", None)
    if code is None or owner is not None or not any(mark in qualname for mark in _SELF_NAMED):
        return name, parts
    parts.append((" (its defaults)", [getattr(obj, "__defaults__", None), getattr(obj, "__kwdefaults__", None)]))
    cells = zip(code.co_freevars, obj.__closure__ or (), strict=True)
    parts += [(f" (its {key})", _content(cell)) for key, cell in cells]
    return (*name, code.co_code, code.co_names, repr(code.co_consts) if not _nested(code) else None), parts


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _nested(code: Any) -> bool:
    return any(hasattr(one, "co_code") for one in code.co_consts)
