"""A small honest daemon for tests of the commands: `python daemon.py HOME [JSON]` holds the lock, writes daemon.json, answers the own paths.

The JSON object changes what it is: `gateways` and `gateway`; `credential`, what `GET /_sidecar/credential` says; `streams`, how many
it says to wait for, and then it ends only when told `now`; further keys replace those of daemon.json.  What it was asked is kept in
`HOME/asked.jsonl`.
"""

from __future__ import annotations

import http.server
import json
import os
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

from sidecar import __version__
from sidecar.launch import daemon_state as state
from sidecar.launch import passes, passkey, places

INSTANCE = f"fake-{os.getpid()}"


def main() -> None:
    home, given = sys.argv[1], json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}")
    here = places.find({"SIDECAR_HOME": home})
    lock = state.Lock(here.lock_file)
    if not lock.acquire():
        sys.exit("held")
    key = passkey.load_or_create(here.pass_key)
    credential = given.pop("credential", {"key": True, "where": "a test", "error": None})
    streams = given.pop("streams", 0)

    class Own(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            if url.path == "/_sidecar/health":
                self.answer(
                    {"name": "sidecar", "version": __version__, "instance": INSTANCE, "proof": passes.health_proof(key, query["nonce"])}
                )
            elif url.path == "/_sidecar/status":
                config = {"path": written["config"], "error": written["config_error"]}
                shown = {name: written[name] for name in ("pid", "port", "version", "instance", "started_at", "gateway")}
                self.answer({"running": True, **shown, "streams": streams, "config": config}, control=True)
            elif url.path == "/_sidecar/streams":
                self.answer({"streams": []}, control=True)
            else:
                self.answer({"gateway": query["gateway"], **credential}, control=True)

        def do_POST(self) -> None:
            value = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.answer({"streams": streams}, control=True, asked=value)
            if self.path == "/_sidecar/stop" and (value["now"] or not streams):
                threading.Thread(target=server.shutdown).start()

        def answer(self, value: object, *, control: bool = False, asked: object = None) -> None:
            bearer = passes.check(key, self.headers.get("x-sidecar-pass", ""), time.time())
            with open(os.path.join(home, "asked.jsonl"), "a", encoding="utf-8") as file:
                file.write(json.dumps([self.command, self.path, asked]) + "\n")
            admitted = not control or (bearer is not None and bearer.scope == "control")
            body = json.dumps(value).encode() if admitted else b"{}"
            self.send_response(200 if admitted else 403)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own)
    known: state.GatewayState = {"beside": False, "agent_env": {}, "remove": ["GW_KEY"], "key": True}
    written: state.State = {
        "pid": os.getpid(),
        "host": "127.0.0.1",
        "port": server.server_address[1],
        "instance": INSTANCE,
        "version": __version__,
        "config": None,
        "config_error": None,
        "ledger": {"error": None},
        "draining": False,
        "started_at": "2026-01-02T03:04:05.000Z",
        "gateway": "gw",
        "configured": [],
        "variables": ["GW_KEY", "HTTPS_PROXY"],
        "gateways": {"gw": known},
        **given,
    }
    state.write(here.state_file, written)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.serve_forever()
    server.server_close()
    os.unlink(here.state_file)
    lock.release()


if __name__ == "__main__":
    main()
