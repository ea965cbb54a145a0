"""For tests of applications: a launched application on a database of its own, and time that the test moves.

`dbos.testing.pytest` has the same as fixtures.
"""

from dbos.testing.databases import PostgresDatabases
from dbos.testing.environment import Environment, launched

__all__ = ["Environment", "PostgresDatabases", "launched"]
