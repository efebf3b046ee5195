"""What a torch module is set to beside its numbers: which parameters are frozen, and which modules evaluate.

A state dict holds neither, and both change results: dropout is active in a module that trains, and an optimizer
changes what is not frozen. The header of the stored file has the flags that differ from those of a module as its
class makes it (FORMAT.md, "Kind torch").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["checked_flags", "other_flags", "set_flags"]

Flags = dict[str, object]
"""``frozen``: names of parameters; ``training``: of the module itself; ``other_mode``: modules that do otherwise."""


def other_flags(module: torch.nn.Module, made: torch.nn.Module) -> Flags:
    """Return the flags of ``module`` that ``made``, a module as its class makes it, does not have."""
    of_made = _flags(made)
    pairs = ("frozen",), ("training", "other_mode")
    flags = _flags(module)
    return {key: flags[key] for keys in pairs if any(flags[key] != of_made[key] for key in keys) for key in keys}


def set_flags(module: torch.nn.Module, flags: Mapping[str, object]) -> None:
    """Set the flags that were stored. Names that the module lacks are left alone: its reader chose another class."""
    frozen, training, other = (flags.get(key) for key in ("frozen", "training", "other_mode"))
    if isinstance(frozen, list):
        names = frozenset(frozen)
        for name, parameter in module.named_parameters(remove_duplicate=False):
            if parameter.requires_grad == (name in names):
                parameter.requires_grad_(name not in names)
    if isinstance(training, bool) and isinstance(other, list):
        names = frozenset(other)
        for name, one in module.named_modules(remove_duplicate=False):
            one.training = training != (name in names)


def checked_flags(header: Mapping[str, object]) -> Flags:
    """Return the flags that the header of a stored file has.

    Raises:
        ValueError: If one is of another type than is written.
    """
    flags: Flags = {key: header[key] for key in ("frozen", "training", "other_mode") if key in header}
    for key, value in flags.items():
        names = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if not (isinstance(value, bool) if key == "training" else names):
            raise ValueError(f"{key!r} of the header is a {type(value).__qualname__}")
    return flags


def _flags(module: torch.nn.Module) -> Flags:
    parameters = module.named_parameters(remove_duplicate=False)
    modules = module.named_modules(remove_duplicate=False)
    return {
        "frozen": sorted(name for name, one in parameters if not one.requires_grad),
        "training": module.training,
        "other_mode": sorted(name for name, one in modules if one.training != module.training),
    }
