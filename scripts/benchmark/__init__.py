"""What the sidecar costs, measured beside its peers: `scripts/bench`.

    recordings   the requests, and the replies that the stand-in gateway gives
    gateway.c    the stand-in gateway
    load.c       the load generator
    programs     compiles and runs the two
    proxies      the sidecar, nginx, haproxy, LiteLLM and Portkey's gateway, each started as its users would
    install      fetches the peers
    processes    whole process trees: pinned, their CPU time, their memory
    scenarios    what is asked, by how many clients
    rounds       every scenario through every proxy, in turn, several times
    starts       how long the commands take before anything is proxied
    distance     the first answer of a new agent when the gateway is 40 ms away (far_gateway, new_agent: its two ends)
    soak         memory over a long time
    goals        what has to be reached
    report       figures -> one markdown page

A benchmark, not a test: figures compare only within one run on one machine.
"""
