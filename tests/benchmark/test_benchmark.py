"""What the figures rest on: that the stand-in gateway answers, and that the load generator sees every wrong byte."""

from __future__ import annotations

import shutil
import sys

import pytest

if sys.platform != "linux":
    pytest.skip("the benchmark runs on Linux only", allow_module_level=True)
if not (shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")):
    pytest.skip("there is no C compiler", allow_module_level=True)

from benchmark.goals import Goal, cpu_ratios
from benchmark.programs import Load, Programs
from benchmark.proxies import Proxy, sidecar
from benchmark.recordings import recordings, request, stream
from benchmark.rounds import Measured, Run, undisturbed
from benchmark.scenarios import Scenario
from benchmark.soak import Soak

KNOWN = recordings() | {"short": stream("short", 12, interval_ms=5)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("benchmark"))


@pytest.fixture(scope="module")
def programs(folder):
    return Programs(folder)


@pytest.fixture(scope="module")
def port(programs):
    with programs.gateway(KNOWN.values()) as port:
        yield port


@pytest.fixture(scope="module")
def proxies(port, folder):
    with sidecar(port, folder) as running:
        yield {"direct": Proxy("direct", port), **{proxy.name: proxy for proxy in running}}


def load(programs, proxy, reply, *, expected=None, size=2_000):
    asked = request(Scenario(reply, "", 3, reply, size), proxy.path, proxy.headers)
    return programs.load(proxy.port, asked, expected or reply, clients=3, seconds=0.05)


@pytest.mark.parametrize("reply", ["json", "splice", "sse1000", "gzip100", "short"])
@pytest.mark.parametrize("name", ["direct", "sidecar", "sidecar, unmetered"])
def test_every_reply_arrives_byte_for_byte(programs, proxies, name, reply):
    got = load(programs, proxies[name], reply)
    assert got.requests >= 3
    assert (got.failed, got.different, got.unfinished) == (0, 0, 0)
    if reply == "short":
        assert got.stamps == got.requests * 7  # of twelve events five frame the message
        assert got.event_ms.p50 >= 0


def test_a_large_request_is_answered(programs, proxies):
    got = load(programs, proxies["sidecar"], "json", size=1_000_000)
    assert (got.requests >= 3, got.failed) == (True, 0)


def test_other_bytes_are_seen(programs, proxies):
    got = load(programs, proxies["direct"], "sse100", expected="sse1000")
    assert got.different == got.requests > 0


def test_a_refusal_is_a_failure(programs, proxies):
    got = load(programs, proxies["direct"], "unknown", expected="json")
    assert got.requests == 0
    assert got.failed >= 3


@pytest.mark.parametrize(
    ("values", "must", "verdict"),
    [
        ([0.9, 1.1, 9.0], 2, "must reached"),
        ([0.9, 1.0, 9.0], 2, "goal reached"),
        ([2.1], 2, "**missed**"),
        ([1.1], None, "goal missed"),
        ([], 2, "not measured"),
    ],
)
def test_a_goal_is_judged_by_the_median(values, must, verdict):
    assert Goal("this", "", values, must, 1).verdict == verdict


def small(proxy, *, cpu=1.0, stolen=0.0, faults=0):
    return Run(proxy, "json1", cpu, 1.0, stolen, 0, Load(1, faults, 0, 0, 1.0, 0, None, None, None))


@pytest.mark.parametrize(
    ("runs", "taken"),
    [
        ([(0.01, 0), (0.0, 0)], 0),
        ([(0.3, 0), (0.0, 0)], 1),
        ([(0.3, 0), (0.2, 0), (0.1, 0), (0.2, 0), (0.3, 0), (0.0, 0)], 2),
        ([(0.3, 0), (0.3, 1), (0.0, 0)], 1),
    ],
    ids=["calm at once", "calm later", "never calm: the calmest of five", "a fault is never left out"],
)
def test_a_run_that_others_disturbed_is_repeated(runs, taken):
    made = [small("nginx", stolen=stolen, faults=faults) for stolen, faults in runs]
    assert undisturbed(iter(made).__next__) is made[taken]
    assert undisturbed(iter(made[1:]).__next__, made[0]) is made[taken or 1]


@pytest.mark.parametrize(
    ("stolen", "ratios"),
    [
        ([(0.0, 0.0), (0.01, 0.01), (0.0, 0.0)], [1, 2, 3]),
        ([(0.0, 0.0), (0.02, 0.0), (0.0, 0.0)], [1, 3]),
        ([(0.3, 0.3), (0.0, 0.3), (0.0, 0.0)], [3]),
        ([(0.3, 0.0), (0.2, 0.1), (0.0, 0.3)], [2]),
    ],
    ids=["all calm", "one that was not", "one that was", "none: the calmest"],
)
def test_only_calm_rounds_are_compared_or_the_calmest(stolen, ratios):
    rounds = [
        {(run.proxy, run.scenario): run for run in (small("sidecar", cpu=number, stolen=own), small("nginx", stolen=others))}
        for number, (own, others) in enumerate(stolen, start=1)
    ]
    assert sorted(cpu_ratios(Measured(rounds, {}, {}, []), "sidecar", "json1")) == ratios
    assert cpu_ratios(Measured(rounds, {}, {}, []), "sidecar", "json16") == []


@pytest.mark.parametrize(
    ("samples", "growth"),
    [
        ([(minute / 2, 60 + minute / 4) for minute in range(20)], (3.0, 30.0)),
        ([(0, 50), (10, 60), (20, 60), (30, 60), (40, 61)], (1.0, 2.0)),
        ([(0, 50)], (0.0, 0.0)),
    ],
)
def test_growth_is_told_apart_from_filling_up(samples, growth):
    assert Soak(samples, 1, 0).growth() == pytest.approx(growth)
