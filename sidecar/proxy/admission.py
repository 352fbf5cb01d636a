"""What is known of request heads: parsed, admitted and planned once, however many requests bring the same head.

An agent sends the same head with every request of a conversation; only the length of the body differs.  `KnownHeads` keeps one record
for each, and this is the one rule for when that ends:

- what was decided for a head, the `Admission`, holds until the configuration or the pass key changes, or the pass expires;
- the records are bounded in number and size; when there are too many, all are dropped.

Everything in a record follows from the head and from what the `Admission` was made with.  So nothing else can make it wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.launch.passes import LONGEST_LABEL
from sidecar.proxy.plan import plan
from sidecar.wire.head import LARGEST_BODY, plain_head, without_length

if TYPE_CHECKING:
    from sidecar.config.settings import Settings
    from sidecar.launch.passes import Pass
    from sidecar.proxy.plan import Plan
    from sidecar.wire.body import Peek
    from sidecar.wire.head import Head

#: Records that are kept.  An agent has a handful.
MOST_HEADS = 256
#: Bytes of a head above which no record is kept.
LARGEST_HEAD = 16 * 1024
#: Plans that are kept for one head: one for each model that the agent asks for.
MOST_PLANS = 16
#: A plan whose body names something longer is not kept.  Claude Code's `metadata.user_id` has some 200 characters.
LONGEST_USER_ID = 1024


class Admission:
    """The decision that requests with one head may go to a gateway, made under `settings` and a pass key for the holder of `bearer`."""

    def __init__(self, head: Head, settings: Settings, pass_key: bytes, bearer: Pass, user: str) -> None:
        self.settings = settings
        self._head = head
        self._pass_key = pass_key
        self._bearer = bearer
        self._user = user
        self._plans: dict[tuple[str | None, str | None], Plan] = {}

    def __repr__(self) -> str:
        return f"<Admission {self._bearer!r} plans={len(self._plans)}>"

    def holds(self, settings: Settings, pass_key: bytes, now: float) -> bool:
        return settings is self.settings and pass_key == self._pass_key and now < self._bearer.expires

    def plan(self, seen: Peek) -> Plan:
        """Return what becomes of a request with this head whose body says `seen`.  Raises `Refusal`."""
        key = seen.model, seen.user_id
        found = self._plans.get(key)
        if found is None:
            found = plan(self.settings, self._bearer, self._head, seen, self._user)
            if len(seen.model or "") <= LONGEST_LABEL and len(seen.user_id or "") <= LONGEST_USER_ID:
                if len(self._plans) >= MOST_PLANS:
                    self._plans.clear()
                self._plans[key] = found
        return found


class KnownHead:
    """The record of one head.  `admission` is the last that was made, and may not hold any more."""

    __slots__ = ("admission", "head")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.admission: Admission | None = None

    def __repr__(self) -> str:
        return f"<KnownHead {self.head.method} {self.head.raw_path.partition('?')[0]} {self.admission!r}>"


class KnownHeads:
    """Reads plain heads, and finds the records of those that it has read before."""

    def __init__(self) -> None:
        self._records: dict[tuple[bytes, bool], KnownHead] = {}

    def __len__(self) -> int:
        return len(self._records)

    def read(self, data: bytes) -> tuple[KnownHead, int] | None:
        """Return the record of a head, which ends with its empty line, and the length of the body behind it; None if it is not plain.

        The Content-Length among the fields of a record's head is that of the first request with it.
        """
        rest, length = without_length(data)
        key = rest, length > 0  # without digits from the start is another head
        record = self._records.get(key)
        if record is not None:
            return (record, length) if length <= LARGEST_BODY else None
        read = plain_head(data)
        if read is None:
            return None
        head, announced = read
        record = KnownHead(head)
        if len(data) <= LARGEST_HEAD and announced == length:  # otherwise the length is spelled in a way of its own
            if len(self._records) >= MOST_HEADS:
                self._records.clear()
            self._records[key] = record
        return record, announced
