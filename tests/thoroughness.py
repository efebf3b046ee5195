"""How many examples a property is tried with: a quarter of them by ``pytest``, all by ``pytest -m slow``.

They are the same ones each time, so that a failure is that of a change; ``--hypothesis-seed=random`` tries others.
"""

from hypothesis import HealthCheck, settings

__all__ = ["FAST", "THOROUGH", "choose", "examples"]

FAST, THOROUGH = "fast", "thorough"
BUSY = [HealthCheck.too_slow]
"""What a busy machine alone can make fail, since it goes by the clock."""


def choose(profile: str, *, same: bool) -> None:
    """Load a profile, with the same examples each time or with others."""
    for name, count in ((FAST, 25), (THOROUGH, 100)):
        settings.register_profile(name, max_examples=count, suppress_health_check=BUSY, derandomize=same)
    settings.load_profile(profile)


def examples(thorough: int) -> int:
    """Return how many examples to try, given how many there are to be when there is time."""
    return thorough if settings.default is settings.get_profile(THOROUGH) else max(thorough // 4, 5)
