"""The sidecar and its peers, each started as its own documentation says, on one core."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmark.install import LITELLM, PORTKEY
from benchmark.processes import PROXY_CORE, Failed, free_port, installed, pinned, ran, started, wait_for_answer
from benchmark.scenarios import EVERY, FEW, UNMETERED
from sidecar.launch import daemon_state as state
from sidecar.launch import places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

KEY = "gateway-key-0123456789"
#: The command of this checkout.
SIDECAR = os.path.join(os.path.dirname(sys.executable), "sidecar")
_MESSAGES = "/v1/messages"


@dataclass(frozen=True, slots=True)
class Proxy:
    """`root`: the process at the top of its tree, 0 where there is none.  `headers`: what a client of this proxy has to send."""

    name: str
    port: int
    root: int = 0
    headers: tuple[str, ...] = (f"x-api-key: {KEY}",)
    path: str = _MESSAGES
    scenarios: frozenset[str] = EVERY


def direct(gateway_port: int, _folder: str) -> AbstractContextManager[list[Proxy]]:
    return contextlib.nullcontext([Proxy("direct", gateway_port)])


@contextlib.contextmanager
def sidecar(gateway_port: int, folder: str) -> Iterator[list[Proxy]]:
    """A daemon with pass check, ledger and log, as `sidecar start` starts it; and one whose meter looks at nothing."""
    base = f"{{base_url: http://127.0.0.1:{gateway_port}, credential: {{env: BENCH_KEY}}, models: {{bench-splice: bench-json}}}}"
    config = f"gateway: bench\ngateways:\n  bench: {base}\n"
    apart = os.path.join(folder, "unmetered")
    os.makedirs(apart, exist_ok=True)
    with home(folder, config, {"BENCH_KEY": KEY}) as environment, pinned(PROXY_CORE), _unmetered(config, apart) as unmetered:
        ran([SIDECAR, "start"], environment)
        running = state.read(places.find(environment).state_file)
        if running is None:
            raise Failed("the sidecar's daemon has ended")
        yield [Proxy("sidecar", running["port"], running["pid"], _pass(environment)), unmetered]


@contextlib.contextmanager
def _unmetered(config: str, folder: str) -> Iterator[Proxy]:
    port = free_port()
    command = [sys.executable, "-P", os.path.join(os.path.dirname(__file__), "unmetered.py")]
    with (
        home(folder, f"listen: 127.0.0.1:{port}\n{config}", {"BENCH_KEY": KEY}) as environment,
        started(command, folder, environment) as process,
    ):
        wait_for_answer(f"http://127.0.0.1:{port}/_sidecar/health", process)
        yield Proxy("sidecar, unmetered", port, process.pid, _pass(environment), scenarios=UNMETERED)


def _pass(environment: Mapping[str, str]) -> tuple[str, ...]:
    return (f"x-api-key: {ran([SIDECAR, 'token'], environment).strip()}",)


@contextlib.contextmanager
def home(folder: str, config: str, variables: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment of a sidecar with a home of its own in `folder`; its daemon ends with the block."""
    path = os.path.join(folder, "home")
    places.private_folder(path)
    places.write_private(os.path.join(path, "config.yaml"), config.encode())
    environment = {"PATH": os.environ["PATH"], "HOME": folder, "SIDECAR_HOME": path, **variables}
    try:
        yield environment
    finally:
        ran([SIDECAR, "stop", "--now"], environment)


_NGINX = """\
daemon off; worker_processes 1; pid nginx.pid; error_log stderr; %(user)s
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; client_max_body_size 64m; client_body_buffer_size 2m;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  upstream gateway { server 127.0.0.1:%(gateway)d; keepalive 2048; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
    location / {
      proxy_pass http://gateway; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Connection ""; proxy_set_header x-api-key %(key)s;
    }
  }
}
"""


def nginx(gateway_port: int, folder: str) -> AbstractContextManager[list[Proxy]]:
    user = "user root;" if os.geteuid() == 0 else ""
    return _configured("nginx", ["nginx", "-p", folder, "-e", "stderr", "-c"], _NGINX, gateway_port, folder, user=user)


_HAPROXY = """\
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  option http-no-delay
  http-reuse always
  timeout connect 10s
  timeout client 10m
  timeout server 10m
frontend agents
  bind 127.0.0.1:%(port)d backlog 4096
  http-request set-header x-api-key %(key)s
  default_backend gateway
backend gateway
  server gateway 127.0.0.1:%(gateway)d pool-max-conn 2048
"""


def haproxy(gateway_port: int, folder: str) -> AbstractContextManager[list[Proxy]]:
    return _configured("haproxy", ["haproxy", "-db", "-f"], _HAPROXY, gateway_port, folder)


@contextlib.contextmanager
def _configured(name: str, command: list[str], template: str, gateway_port: int, folder: str, **more: str) -> Iterator[list[Proxy]]:
    """A proxy that is one program and one file."""
    program = installed(name)
    if program is None:
        yield []
        return
    port, file = free_port(), os.path.join(folder, f"{name}.conf")
    _write(file, template % {"port": port, "gateway": gateway_port, "key": KEY, **more})
    with pinned(PROXY_CORE), started([program, *command[1:], file], folder) as process:
        wait_for_answer(f"http://127.0.0.1:{port}/", process)
        yield [Proxy(name, port, process.pid)]


@contextlib.contextmanager
def litellm(gateway_port: int, folder: str) -> Iterator[list[Proxy]]:
    """Its translating route, and the one that passes through."""
    program = os.path.join(LITELLM, "bin", "litellm")
    if not os.path.exists(program):
        yield []
        return
    port, file, base = free_port(), os.path.join(folder, "litellm.yaml"), f"http://127.0.0.1:{gateway_port}"
    model = {"model_name": "*", "litellm_params": {"model": "anthropic/*", "api_base": base, "api_key": KEY}}
    _write(file, json.dumps({"model_list": [model], "general_settings": {"master_key": "sk-bench", "disable_spend_logs": True}}))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": folder,
        "ANTHROPIC_API_BASE": base,
        "ANTHROPIC_API_KEY": KEY,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    command = [program, "--config", file, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False"]
    with pinned(PROXY_CORE), started(command, folder, environment) as process:
        wait_for_answer(f"http://127.0.0.1:{port}/health/liveliness", process)
        proxy = Proxy("LiteLLM", port, process.pid, ("Authorization: Bearer sk-bench",), scenarios=FEW)
        yield [proxy, replace(proxy, name="LiteLLM pass-through", path=f"/anthropic{_MESSAGES}")]


@contextlib.contextmanager
def portkey(gateway_port: int, folder: str) -> Iterator[list[Proxy]]:
    """It holds no key: its clients send the gateway's."""
    program, node = os.path.join(PORTKEY, "node_modules", "@portkey-ai", "gateway", "build", "start-server.js"), installed("node")
    if node is None or not os.path.exists(program):
        yield []
        return
    port = free_port()
    headers = (f"x-api-key: {KEY}", "x-portkey-provider: anthropic", f"x-portkey-custom-host: http://127.0.0.1:{gateway_port}/v1")
    # Private addresses are no targets of its unless it is told that they may be.
    environment = {"PATH": os.environ["PATH"], "HOME": folder, "NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    with pinned(PROXY_CORE), started([node, program, f"--port={port}", "--headless"], folder, environment) as process:
        wait_for_answer(f"http://127.0.0.1:{port}/", process)
        yield [Proxy("Portkey", port, process.pid, headers, scenarios=FEW)]


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


PROXIES: dict[str, Callable[[int, str], AbstractContextManager[list[Proxy]]]] = {
    "direct": direct,
    "sidecar": sidecar,
    "nginx": nginx,
    "haproxy": haproxy,
    "litellm": litellm,
    "portkey": portkey,
}
