"""Every run of a world, by trying each choice in each state that was not met before."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from scheduled_world import FREE, Choice, World

__all__ = ["Explored", "explore", "sample"]

_LONGEST = 300


@dataclass
class Explored:
    """What was seen: ``states`` met, ``runs`` brought to their end, and what was ``wrong`` first, with its choices."""

    states: int = 0
    runs: int = 0
    wrong: str = ""


def explore(make: Callable[[], World], check: Callable[[World], str], *, most: int = 1_000_000) -> Explored:
    """Visit every state that can be reached, and judge every end; stop at the first that is wrong.

    A state can't be kept, for it lies in threads: what leads to it is run again.

    Args:
        make: Gives a new world, always the same.
        check: Says what is wrong with a world that has come to its end, or "".
        most: How many states at most; there must not be more.
    """
    found, seen = Explored(), set()
    border: list[tuple[Choice, ...]] = [()]
    while border:
        path = border.pop()
        world = make()
        try:
            for choice in path:
                world.step(choice)
            while (key := world.key) not in seen:
                seen.add(key)
                found.states += 1
                assert found.states <= most, "there are more states than were to be explored"
                choices = world.choices()
                if not choices or len(path) > _LONGEST:
                    found.runs += 1
                    found.wrong = check(world) if not choices else "nobody comes to an end"
                    if found.wrong:
                        found.wrong += told(world)
                        return found
                    break
                border += [(*path, choice) for choice in choices[1:]]
                path = (*path, choices[0])
                world.step(choices[0])
        finally:
            world.end()
    return found


def sample(make: Callable[[], World], check: Callable[[World], str], *, runs: int, seed: int) -> Explored:
    """Bring so many runs to their end, each choice drawn: for worlds of which nobody can see all states."""
    found, chance = Explored(), random.Random(seed)
    for _ in range(runs):
        world, path = make(), []
        try:
            while (choices := world.choices()) and len(path) <= _LONGEST:
                # mostly no faults: they are few, and are to fall anywhere
                plain = [choice for choice in choices if choice.ending in FREE]
                path.append(chance.choice(choices if chance.random() < 0.15 else plain))
                world.step(path[-1])
            found.runs += 1
            found.wrong = check(world) if not choices else "nobody comes to an end"
            if found.wrong:
                found.wrong += told(world)
                return found
        finally:
            world.end()
    return found


def told(world: World) -> str:
    """Return how it came to this, to be read."""
    return "\n".join(["", *world.story, f"notes: {world.notes}", *world.log()])
