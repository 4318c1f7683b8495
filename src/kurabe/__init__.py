"""kurabe: fine-tune or prompt? Measure it on your own facts, then ship the winner.

The library's public names are loaded when they are first used, so that `import kurabe` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "run": "kurabe.experiment",
    "curve": "kurabe.experiment",
    "curve_over_models": "kurabe.sizes",
    "resume": "kurabe.experiment",
    "check": "kurabe.checking",
    "audit": "kurabe.auditing.reading",
    "load_run": "kurabe.analysis",
    "ship": "kurabe.export.shipping",
    "RunSettings": "kurabe.settings",
    "UserError": "kurabe.errors",
    "Example": "kurabe.schema",
    "Fact": "kurabe.schema",
    "Results": "kurabe.schema",
    "Verdict": "kurabe.schema",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'kurabe' has no attribute {name!r}")
