"""An agent that has just been started: prints how long (ms) its first request took, from the connection to the answer's last byte."""

from __future__ import annotations

import http.client
import os
import ssl
import sys
import time
from urllib.parse import urlsplit


def main() -> None:
    base = urlsplit(os.environ["ANTHROPIC_BASE_URL"])
    port = base.port or 443
    context = ssl.create_default_context(cafile=os.environ.get("BENCH_CA")) if base.scheme == "https" else None
    credential = {"authorization": f"Bearer {os.environ.get('ANTHROPIC_AUTH_TOKEN', '')}", "content-type": "application/json"}
    begun = time.perf_counter()
    agent = http.client.HTTPSConnection("127.0.0.1", port, context=context) if context else http.client.HTTPConnection("127.0.0.1", port)
    agent.request("POST", "/v1/messages", b'{"model": "claude-sonnet-4-5", "max_tokens": 1, "messages": []}', credential)
    answer = agent.getresponse()
    body = answer.read()
    took = (time.perf_counter() - begun) * 1000
    if answer.status != http.client.OK:
        sys.exit(f"{answer.status}: {body!r}")
    sys.stdout.write(f"{took}\n")


if __name__ == "__main__":
    main()
