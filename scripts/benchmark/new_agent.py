"""An agent that has just been started: prints how long (ms) its first request took, from the connection to the answer's last byte.

As Claude Code does (2.1.197), it sends a bare HEAD on a connection of its own, does not wait for an answer, and asks 0.22 s later.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys
import threading
import time
from urllib.parse import urlsplit

_PAUSE_SECONDS = 0.22


def main() -> None:
    base = urlsplit(os.environ["ANTHROPIC_BASE_URL"])
    port = base.port or 443
    context = ssl.create_default_context(cafile=os.environ.get("BENCH_CA")) if base.scheme == "https" else None

    def connection() -> http.client.HTTPConnection:
        if context is None:
            return http.client.HTTPConnection("127.0.0.1", port)
        return http.client.HTTPSConnection("127.0.0.1", port, context=context)

    first = connection()
    threading.Thread(target=first.request, args=("HEAD", "/"), daemon=True).start()
    time.sleep(_PAUSE_SECONDS)
    credential = {"authorization": f"Bearer {os.environ.get('ANTHROPIC_AUTH_TOKEN', '')}", "content-type": "application/json"}
    begun = time.perf_counter()
    agent = connection()
    agent.request("POST", "/v1/messages", b'{"model": "claude-sonnet-4-5", "max_tokens": 1, "messages": []}', credential)
    answer = agent.getresponse()
    body = answer.read()
    took = (time.perf_counter() - begun) * 1000
    if answer.status != http.client.OK:
        sys.exit(f"{answer.status}: {body!r}")
    sys.stdout.write(f"{took}\n")


if __name__ == "__main__":
    main()
