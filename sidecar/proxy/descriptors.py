"""How many files, connections included, this process may have open, and whether few are left.

Nothing is counted here: a system gives the lowest free number to what is opened, so that number says how many are open.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys

from sidecar.errors import Refusal

#: Kept for the ledger, the log, commands that give keys, and for connections that get nothing but a refusal.
RESERVE = 48
#: As a share of the limit.
LARGEST_RESERVE = 0.25
#: What macOS allows where the hard limit is "unlimited".
_OPEN_MAX = 10_240

#: What the system says when there are none left, in this process or in all.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_limit = sys.maxsize

if sys.platform == "win32":

    def raise_limit() -> None:
        """Windows has no such limit."""

else:
    import resource

    def raise_limit() -> None:
        """Raise the soft limit, 256 on macOS and 1024 on Linux, to the hard one: the low ones are for programs that call select()."""
        global _limit  # noqa: PLW0603 - a process has one limit
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for wanted in (hard, max(soft, _OPEN_MAX)):
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                break
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        _limit = sys.maxsize if soft == resource.RLIM_INFINITY else soft


def used_share(newest: int) -> float:
    """How much of the limit is in use, from 0 to 1, when a descriptor has just been given the number `newest`."""
    return newest / _limit


def is_reserved(newest: int) -> bool:
    """Whether the number is one of the reserve."""
    return newest >= _limit - min(RESERVE, _limit * LARGEST_RESERVE)


def are_scarce() -> bool:
    """Whether what is opened next would come out of the reserve."""
    try:
        probe = os.dup(2)
    except OSError:
        return True
    os.close(probe)
    return is_reserved(probe)


def refusal() -> Refusal:
    """The answer to a request that needs a connection when there is none to spare.  Asking again helps."""
    return Refusal(
        "busy",
        f"the sidecar may open {_limit} files and connections, and nearly all are in use",
        "raise the hard limit (ulimit -Hn), then: sidecar restart",
    )
