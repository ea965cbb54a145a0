"""The journey on a real cluster: `make e2e`. docs/e2e.md says what it needs.

Ends with 0 when everything was seen, 1 when an act failed, 2 when a setting or a tool is missing.
"""

from __future__ import annotations

import os
import sys

from journey.run import run_journey

if __name__ == "__main__":
    sys.exit(run_journey(os.environ))
