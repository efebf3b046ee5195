"""In which order the nodes of a graph are made again, cycles and all (pure: no I/O).

Source: Tarjan, Depth-first search and linear graph algorithms (1972), without recursion. It ends the component of an
input before those that use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["in_order"]

_ENDED: Final = 1 << 62
"""Stands for the lowest node that is reached from a node whose component has ended: it is in no cycle with others."""


def in_order(
    count: int, outputs: npt.NDArray[np.int64], sources: npt.NDArray[np.int64], items: int | None = None
) -> tuple[list[int], dict[int, tuple[int, ...]]]:
    """Return the step of each node, from 1, and of those in a cycle the nodes of that cycle: one tuple for all of them.

    Args:
        count: The nodes are 0 to ``count`` - 1.
        outputs: Of each edge the node that was made, in rising order.
        sources: Of each edge the node that it was made of.
        items: Nodes from this number on are runs, which take no step of their own and are named in no cycle; by default
            none is.
    """
    items = count if items is None else items
    edge: list[int] = np.searchsorted(outputs, np.arange(count + 1)).tolist()  # of each node the next to follow
    ends, inputs = edge[1:], sources.tolist()
    index, low, steps = [0] * count, [0] * count, [0] * count
    cycles: dict[int, tuple[int, ...]] = {}
    path: list[int] = []
    visited = 0
    for root in range(count):
        work = [] if index[root] else [root]
        while work:
            node = work[-1]
            if not index[node]:
                visited += 1
                index[node] = low[node] = visited
                path.append(node)
            for place in range(edge[node], ends[node]):
                one = inputs[place]
                if not index[one]:
                    edge[node] = place  # looked at again when it has been followed
                    work.append(one)
                    break
                if low[one] < low[node]:
                    low[node] = low[one]
                if steps[one] > steps[node]:
                    steps[node] = steps[one]
            else:
                work.pop()
                if low[node] < index[node]:
                    continue
                if path[-1] == node:  # in no cycle
                    low[path.pop()] = _ENDED
                    steps[node] += node < items
                    continue
                component = [path.pop()]
                while component[-1] != node:
                    component.append(path.pop())
                own = tuple(one for one in component if one < items)
                step = max(steps[one] for one in component) + bool(own)
                for one in component:
                    low[one] = _ENDED
                    steps[one] = step
                    if len(own) > 1:
                        cycles[one] = own
    return steps, cycles
