"""How many examples a property is tried with: a quarter of them by ``pytest``, all by ``pytest -m slow``."""

from hypothesis import HealthCheck, settings

__all__ = ["FAST", "THOROUGH", "examples"]

FAST, THOROUGH = "fast", "thorough"
BUSY = [HealthCheck.too_slow]
"""What a busy machine alone can make fail, since it goes by the clock."""
settings.register_profile(FAST, max_examples=25, suppress_health_check=BUSY)
settings.register_profile(THOROUGH, max_examples=100, suppress_health_check=BUSY)


def examples(thorough: int) -> int:
    """Return how many examples to try, given how many there are to be when there is time."""
    return thorough if settings.default is settings.get_profile(THOROUGH) else max(thorough // 4, 10)
