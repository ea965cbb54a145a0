"""One workload for both packages: `python -m benchmarks.workload KIND URL '{"count": 1000}'`.

It runs in the environment of either; the last line of output is what was measured, as JSON.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module


def main(kind: str, url: str, parameters: str = "{}") -> None:
    """Run one measure and print what it found. Only its own module is imported, for imports are measured too."""
    found = import_module(f"benchmarks.workload.{kind}").measure(url, **json.loads(parameters))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
