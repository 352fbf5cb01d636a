"""The same requests as Claude Code's own transcripts, one file a session: only the fields that ccusage reads, no conversation.

Real transcripts hold the conversation too and are many times as large: these are kind to whoever reads them.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from sidecar.clock import moment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmark.ledger.year import Request


def write(folder: str, requests: Iterable[Request]) -> None:
    """Below `folder`, as in CLAUDE_CONFIG_DIR.  What failed leaves no usage behind."""
    session, lines = "", list[str]()
    for request in requests:
        if request.session != session:
            _append(folder, lines)
            session, lines = request.session, [request.project]
        if request.tokens is not None:
            lines.append(_line(request))
    _append(folder, lines)


def _line(request: Request) -> str:
    fresh, output, read, written = request.tokens or (0, 0, 0, 0)
    usage = {"input_tokens": fresh, "output_tokens": output, "cache_read_input_tokens": read, "cache_creation_input_tokens": written}
    return json.dumps(
        {
            "type": "assistant",
            "sessionId": request.session,
            "timestamp": moment(request.at),
            "version": "2.1.197",
            "requestId": f"req_{request.number:024}",
            "message": {"id": f"msg_{request.number:024}", "model": request.model, "role": "assistant", "usage": usage},
        }
    )


def _append(folder: str, lines: list[str]) -> None:
    if not lines:
        return
    project, *entries = lines
    place = os.path.join(folder, "projects", f"-home-example-{project}")
    os.makedirs(place, exist_ok=True)
    name = json.loads(entries[0])["sessionId"] if entries else "empty"
    with open(os.path.join(place, f"{name}.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(f"{entry}\n" for entry in entries)
