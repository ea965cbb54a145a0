"""Who runs a workflow, and whether that user may."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dbos._error import DBOSNotAuthorizedError


@dataclass(frozen=True, slots=True)
class Authentication:
    """The user of a context: nobody, unless somebody was set."""

    user: str | None = None
    roles: tuple[str, ...] | None = None
    assumed_role: str | None = None

    @property
    def stored_roles(self) -> str | None:
        """The roles as a row holds them."""
        return json.dumps(list(self.roles)) if self.roles else None


NOBODY = Authentication()


def authorize(function: str, required: Sequence[str] | None, authentication: Authentication) -> str | None:
    """The role that the user assumes to run a function; None when it requires none.

    Raises DBOSNotAuthorizedError when the user has no role that is required.
    """
    if not required:
        return None
    if authentication.user is None and authentication.roles is None:
        raise DBOSNotAuthorizedError(
            f"{function} requires one of the roles {', '.join(required)}, and nobody is authenticated here"
        )
    roles = authentication.roles or ()
    for role in required:
        if role in roles:
            return role
    raise DBOSNotAuthorizedError(
        f"{function} requires one of the roles {', '.join(required)}; {authentication.user!r} has "
        f"{', '.join(roles) or 'none'}"
    )


def authentication_of_row(user: str | None, roles: str | None) -> Authentication:
    """The user that a row names, who assumes a role only where one is required.

    Roles that cannot be read are none: they give no rights.
    """
    try:
        listed = json.loads(roles) if roles else None
    except ValueError:
        listed = None
    names = tuple(str(role) for role in listed) if isinstance(listed, list) else None
    return Authentication(user, names)
