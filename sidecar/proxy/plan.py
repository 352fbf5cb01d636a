"""What becomes of a request, as far as its head says: who asks, where it goes, with which fields.

Worked out once for each head (`admission.py`): an agent's second request finds the plan of its first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sidecar.gateways.headers import Outgoing
from sidecar.gateways.route import route
from sidecar.ledger.row import Row, array
from sidecar.observe.redact import is_secret_name
from sidecar.sessions.session import for_the_gateway, identify, union
from sidecar.wire.fields import text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidecar.config.settings import Settings
    from sidecar.gateways.route import Route
    from sidecar.launch.passes import Pass
    from sidecar.observe.redact import Redactor
    from sidecar.sessions.session import Caller
    from sidecar.wire.body import Peek
    from sidecar.wire.fields import Field
    from sidecar.wire.head import Head

#: The columns whose texts an agent chooses.  `tags` are cleaned one by one.
_AGENTS_TEXTS = (
    "session",
    "run",
    "agent",
    "parent_agent",
    "project",
    "repo",
    "branch",
    "client",
    "method",
    "path",
    "model_requested",
)


class Plan:
    """`caller` asks, `there` is the way, `tags` are all that go along."""

    def __init__(
        self,
        caller: Caller,
        there: Route,
        tags: tuple[str, ...],
        user: str,
        head: Head,
    ) -> None:
        self.caller = caller
        self.there = there
        self.tags = tags
        self.path = head.target.path
        self._row = self._clean_row = _row(caller, there, tags, head)
        self._cleaned_by: Redactor | None = None
        client_fields = for_the_gateway(head.fields)
        #: The agent's own credentials, which a beside gateway gets and may quote.
        self.credentials = _credentials(client_fields) if there.gateway.beside else frozenset()
        self.outgoing = Outgoing(client_fields, head.named, there.gateway, _template_values(caller, there, tags, user))

    def row(self, redactor: Redactor, **known: object) -> Row:
        """The ledger's row of one request: what all with this head have in common, as `redactor` leaves it, and what is `known` of this one."""
        if self._cleaned_by is not redactor:
            self._clean_row, self._cleaned_by = _cleaned(self._row, self.tags, redactor), redactor
        return replace(self._clean_row, **known)


def plan(settings: Settings, bearer: Pass, head: Head, seen: Peek, user: str) -> Plan:
    """Make the plan of requests with `head`, which holds `bearer`, and a body that says `seen`.  Raises `Refusal`."""
    caller = identify(bearer, head.named, seen.user_id)
    there = route(settings, caller, head.call, head.target, head.named, seen.model)
    return Plan(caller, there, union(settings.tags, there.gateway.tags, caller.tags), user, head)


def _template_values(caller: Caller, there: Route, tags: tuple[str, ...], user: str) -> dict[str, str]:
    return {
        "session": caller.session,
        "tags": ",".join(tags),
        "project": caller.project or "",
        "repo": caller.repo or "",
        "branch": caller.branch or "",
        "user": user,
        "gateway": there.gateway.name,
    }


def _credentials(fields: Iterable[Field]) -> frozenset[str]:
    return frozenset(text(value).rpartition(" ")[2] for name, value in fields if is_secret_name(text(name)))


def _cleaned(row: Row, tags: tuple[str, ...], redactor: Redactor) -> Row:
    """The row with every text of the agent's as a column may hold it."""
    texts = redactor.columns(tuple(getattr(row, name) for name in _AGENTS_TEXTS))
    return replace(row, tags=array(tuple(redactor.column(tag) for tag in tags)), **dict(zip(_AGENTS_TEXTS, texts, strict=True)))


def _row(caller: Caller, there: Route, tags: tuple[str, ...], head: Head) -> Row:
    return Row(
        id="",
        instance="",
        started_at="",
        kind=there.kind.value,
        session=caller.session,
        run=caller.run,
        agent=caller.agent,
        parent_agent=caller.parent_agent,
        gateway=there.gateway.name,
        tags=array(tags),
        project=caller.project,
        repo=caller.repo,
        branch=caller.branch,
        client=caller.client,
        method=head.method,
        path=head.target.path,
        model_requested=there.model_requested,
        billing=there.billing,
        retry_count=caller.retry_count,
    )
