"""Settings, and where each of them was set: arguments, environment variables, configuration files, defaults."""

from __future__ import annotations

__all__: list[str] = []
