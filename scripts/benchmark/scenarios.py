"""What is asked, and by how many clients at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    what: str
    clients: int
    reply: str
    request_bytes: int = 2_000
    spread_ms: int = 0


SCENARIOS = (
    Scenario("json1", "small JSON, 1 client", 1, "json"),
    Scenario("json16", "small JSON, 16 clients", 16, "json"),
    Scenario("json64", "small JSON, 64 clients", 64, "json"),
    Scenario("req150k", "150 kB requests, 4 clients", 4, "json", 150_000),
    Scenario("req1m", "1 MB requests, 4 clients", 4, "json", 1_000_000),
    Scenario("req1m-splice", "1 MB requests, model mapped by the sidecar", 4, "splice", 1_000_000),
    Scenario("sse100-1", "streams of 100 events, 1 client", 1, "sse100"),
    Scenario("sse100", "streams of 100 events, 16 clients", 16, "sse100"),
    Scenario("sse1000", "streams of 1,000 events, 16 clients", 16, "sse1000"),
    Scenario("gzip100", "gzip streams of 100 events, 16 clients", 16, "gzip100"),
    Scenario("paced1", "1 stream, an event every 20 ms", 1, "paced"),
    Scenario("paced50", "50 streams, an event every 20 ms", 50, "paced", spread_ms=100),
    Scenario("paced200", "200 streams, an event every 20 ms", 200, "paced", spread_ms=300),
    Scenario("paced1000", "1,000 streams, an event every 20 ms", 1000, "paced", spread_ms=500),
    Scenario("slow1000", "1,000 streams, an event every 200 ms", 1000, "slow", spread_ms=500),
)

EVERY = frozenset(scenario.name for scenario in SCENARIOS)
#: Enough for proxies that need milliseconds where others need microseconds.
FEW = frozenset({"json1", "json16", "req150k", "req1m", "sse100", "paced50", "slow1000"})
UNMETERED = frozenset({"json16", "sse100", "paced200"})
