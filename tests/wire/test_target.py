"""What a method and a path ask for, however the path is spelled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.wire.target import Call, Kind, Protocol, Target, call_of

UNMETERED = Call(Kind.INFERENCE)
CALLS = {
    "/v1/messages": Call(Kind.INFERENCE, Protocol.MESSAGES, is_read_whole=True),
    "/v1/messages/count_tokens": Call(Kind.COUNT, None, is_read_whole=True),
    "/v1/chat/completions": Call(Kind.INFERENCE, Protocol.CHAT, is_read_whole=True),
    "/v1/responses": Call(Kind.INFERENCE, Protocol.RESPONSES, is_read_whole=True),
    "/v1/responses/compact": Call(Kind.INFERENCE, Protocol.RESPONSES, is_read_whole=True),
    "/v1/responses/input_tokens": Call(Kind.COUNT, None, is_read_whole=True),
    "/v1/completions": Call(Kind.INFERENCE, Protocol.COMPLETIONS, is_read_whole=True),
    "/v1/embeddings": Call(Kind.INFERENCE, Protocol.EMBEDDINGS, is_read_whole=True),
    "/v1/messages/batches": UNMETERED,
    "/v1/batches": UNMETERED,
    "/v1/complete": UNMETERED,
    "/v1/images/generations": UNMETERED,
    "/v1/audio/speech": UNMETERED,
    "/v1/rerank": UNMETERED,
    "/v1/threads/t1/runs": UNMETERED,
    "/v1beta/models/gemini-3-pro:generateContent": UNMETERED,
    "/v1beta/models/gemini-3-pro:streamGenerateContent": UNMETERED,
    "/v1beta/models/gemini-3-pro:countTokens": Call(Kind.COUNT),
    "/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-4-8:streamRawPredict": UNMETERED,
    "/model/us.anthropic.claude-opus-4-8-v1:0/invoke": UNMETERED,
    "/model/us.anthropic.claude-opus-4-8-v1:0/converse-stream": UNMETERED,
    "/async-invoke": UNMETERED,
    "/v1beta/models/veo-3:predictLongRunning": UNMETERED,
    "/v1beta/models/gemini-3-pro:batchGenerateContent": UNMETERED,
    "/v1beta/interactions": UNMETERED,
    "/v1/video/generations": UNMETERED,
    "/v1/ocr": UNMETERED,
    "/v2/chat": UNMETERED,
    "/v2/embed": UNMETERED,
    "/api/embed": UNMETERED,
    "/api/chat": UNMETERED,
}
NO_CALLS = (
    "/",
    "//",
    "/v1",
    "/v1/models",
    "/v1/messages/batches/b1/cancel",
    "/v1/responses/r1/cancel",
    "/v1/threads/t1/messages",
    "/v1/files",
    "/v1/organizations/api_keys",
    "/v1/messages.json",
    "/:generateContentX",
    "/chat",
)
#: Ways in which servers that fold paths let one be spelled: what stands before it, and what each slash and letter may be.
PREFIXES = ("", "/v1", "/api", "/api/v1", "//", "/openai/deployments/d", "/v1/v1", "/x/.", "/x/..")
SLASHES = ("/", "//", "/./", "/x/../", "%2f", "%2F", "\\", "/;a=b/")
ENDS = ("", "/", "//", "/.", ";a", "%20", "/%2e", "%3Fbeta=true", "%23", "%00.json", "%253f")


@pytest.mark.parametrize(("path", "call"), CALLS.items(), ids=CALLS)
def test_each_path_of_a_model_call_is_known(path, call):
    assert call_of("POST", path) == call
    assert call_of("GET", path) == Call()
    assert not Target(path).is_ambiguous


@pytest.mark.parametrize("path", NO_CALLS)
def test_other_paths_are_no_model_calls(path):
    assert call_of("POST", path) == Call()


@pytest.mark.parametrize(
    "path",
    [
        *("/chat/completions", "//v1/messages", "/v1/messages/", "/v1/v1/messages", "/api/v1/chat/completions", "/responses/compact"),
        *("/v1//messages", "/v1/message%73", "/v1/./messages", "/messages", "/V1/Messages", "/anthropic/v1/messages", "/v1/messages;a"),
    ],
)
def test_a_spelling_that_was_met_is_known(path):
    assert call_of("POST", path).protocol is not None


@given(
    path=st.sampled_from([path for path in CALLS if ":" not in path]),
    prefix=st.sampled_from(PREFIXES),
    slashes=st.lists(st.sampled_from(SLASHES), min_size=6, max_size=6),
    encoded=st.lists(st.integers(0, 2), min_size=80, max_size=80),
    end=st.sampled_from(ENDS),
)
def test_any_spelling_that_servers_fold_is_the_same_call(path, prefix, slashes, encoded, end):
    spelled, slash = "", iter(slashes)
    for character, times in zip(path, encoded, strict=False):
        if character == "/":
            spelled += next(slash)
        else:
            spelled += (character, f"%{ord(character):02x}", f"%25{ord(character):02X}")[times]
    whole = prefix + spelled + end
    assert call_of("POST", whole) == CALLS[path]
    target = Target(whole)
    if not target.is_ambiguous:
        assert call_of("POST", target.usual) == CALLS[path]


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/../keys", "/v1/%2e%2e/keys", "/v1/%252e%252e/keys", "/v1/..%2fkeys", "/v1\\..\\keys", "/v1/./x", "/v1/..;/keys"),
        *(
            "/v1/%2e%2e;/keys",
            "/v1/..%3b/keys",
            "/v1/messages;x",
            "/v1%2Fkeys",
            "/v1%5Ckeys",
            "/v1/a%00",
            "/v1/%256d",
            "/v1/messages%3F",
            "/v1/a%23",
        ),
    ],
)
def test_what_servers_read_in_different_ways_is_ambiguous(path):
    assert Target(path).is_ambiguous


@pytest.mark.parametrize("path", ["/v1/messages..x/...", "//v1/messages", "/v1/messages/", "/v1/message%73", "/v1/a b%20c", "/v1/%c3%a9"])
def test_what_all_servers_read_alike_is_not(path):
    assert not Target(path).is_ambiguous


@pytest.mark.parametrize(
    ("path", "usual"),
    [("/", "/"), ("//v1///messages//", "/v1/messages"), ("/v1/message%73", "/v1/messages"), ("/V1/x", "/V1/x"), ("/v1/%c3%a9", "/v1/é")],
)
def test_the_usual_spelling(path, usual):
    assert Target(path).usual == usual
