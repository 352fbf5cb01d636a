"""What a single value of the configuration may look like.  Pure: plain value in, value out, `ValueError` with a sentence for a person.

No message holds the value itself where that value might be a secret.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sidecar.budgets.budget import Limit, Unit
from sidecar.launch.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What a header template may name; `{…}` around anything but a word is left as it is, so that JSON can be a header's value.
TEMPLATE_NAMES = ("session", "tags", "project", "repo", "branch", "user", "gateway")
TEMPLATE = re.compile(r"\{(\w+)\}")

MAX_TAG_CHARACTERS = 256

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_GATEWAY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")

# Fields that frame the message or belong to one connection: a value from a file would break the request.
_FRAMING_HEADERS = frozenset((
    "connection", "content-encoding", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade",
))  # fmt: skip

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DOLLARS = re.compile(r"\$([0-9]{1,9}(?:\.[0-9]{1,9})?)")
_TOKENS = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([kM]?) tokens")
_THOUSANDS = {"": 1, "k": 10**3, "M": 10**6}
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)%")
_SIZE = re.compile(r"([0-9]+)(B|KiB|MiB|GiB)")
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

# How keys of gateways, clouds and code hosts begin, and the two authorization schemes.
_KEY_PREFIXES = (
    "sk-", "sk_", "vck_", "pk_", "rk_", "key-", "xai-", "gsk_", "hf_", "r8_", "eyj", "aiza", "akia", "ghp_", "gho_", "github_pat_", "glpat-",
    "xoxb-", "bearer ", "basic ", "sidecar-pass-",
)  # fmt: skip
_SHORTEST_KEY = 8
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,31}")
_WORD = re.compile(r"[^\s'\".,:;/(){}\[\]=<>]+")
_DOTTED = re.compile(rf"{_WORD.pattern}(?:\.{_WORD.pattern})*")
_PLAIN_WORD = re.compile("[a-z_]*|[0-9]{1,4}")
_LONG_RUN = re.compile(r"[A-Za-z0-9+/=]{24,}")


def text(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            raise ValueError(f"YAML reads this as {str(value).lower()}, not as text: put it in quotes")
        case dict() | tuple():
            raise ValueError("must be text")
        case _:
            raise ValueError("YAML reads this as a number or a date, not as text: put it in quotes")


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def one_of(*names: str) -> Callable[[object], object]:
    def judged(value: object) -> object:
        if value not in names:
            raise ValueError(f"must be {', '.join(map(repr, names[:-1]))} or {names[-1]!r}")
        return value

    return judged


def begins_like_a_key(text: str) -> bool:
    return len(text) >= _SHORTEST_KEY and text.lower().startswith(_KEY_PREFIXES)


def looks_like_a_key(text: str) -> bool:
    """A known beginning, or a long run of letters and digits mixed as no word is.  A UUID is an id, not a key."""
    if begins_like_a_key(text):
        return True
    runs = _LONG_RUN.findall(_UUID.sub("", text))
    return any(re.search("[0-9]", run) and re.search("[A-Za-z]", run) and _bits_per_character(run) > 3 for run in runs)


def _bits_per_character(text: str) -> float:
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _holds_a_key(text: str) -> bool:
    """Whether one of its words is a key.  A word without digits may begin like one, as `key-management` does."""
    return any(begins_like_a_key(word) and re.search("[0-9]", word) for word in _WORD.findall(text))


def without_keys(text: str) -> str:
    """A message in which whatever looks like a key is taken out: a key in the wrong place must not be quoted back."""
    return _DOTTED.sub(lambda words: ".".join(_hidden(words[0].split("."))), text)


def _hidden(words: list[str]) -> Iterator[str]:
    """Behind a key's first part its others are hidden, too: some keys are several words with dots between them."""
    is_key = False
    for word in words:
        is_key = looks_like_a_key(word) or (is_key and not _PLAIN_WORD.fullmatch(word))
        yield "•••" if is_key else word


def scheme(text: str) -> str:
    """An authorization scheme is a token (RFC 9110 section 11.1), and the key behind it is the sidecar's to add."""
    if text and not _SCHEME.fullmatch(text):
        raise ValueError("must be one word like Bearer: the key behind it is never written here")
    return literal(text)


def no_key(text: str) -> str:
    if any(map(begins_like_a_key, _WORD.findall(text))):
        raise ValueError("this looks like a key, and a key is never written here: name where it comes from (keyring, file, env, command)")
    return text


def plain_name(text: str) -> str:
    """What only names something: it has no reason to look like a key of any kind."""
    if looks_like_a_key(text):
        raise ValueError("this looks like a key, and a key is never written here: name where it comes from")
    return no_key(not_empty(text))


def literal(text: str) -> str:
    """A value that is sent or set as it stands."""
    if looks_like_a_key(text) or _holds_a_key(text):
        raise ValueError("this looks like a key, and a key is never written here: use {credential: {keyring: NAME}}, file, env or command")
    return no_control(text)


def no_control(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("holds a control character")
    return text


def not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return no_control(text)


def gateway_name(text: str) -> str:
    if looks_like_a_key(text):
        raise ValueError("this looks like a key: a gateway needs a name of its own")
    if not _GATEWAY_NAME.fullmatch(text):
        raise ValueError("a gateway's name is made of letters, digits, '.', '_' and '-', at most 64, and begins with a letter or digit")
    return text


def tag(text: str) -> str:
    if "," in text:
        raise ValueError("a tag holds no comma: write two")
    if len(text) > MAX_TAG_CHARACTERS:
        raise ValueError(f"a tag has at most {MAX_TAG_CHARACTERS} characters, this one has {len(text)}")
    return no_key(not_empty(text))


def header_name(text: str) -> str:
    plain_name(text)
    if not _HEADER_NAME.fullmatch(text):
        raise ValueError("no header has such a name")
    if text.lower() in _FRAMING_HEADERS or text.lower().startswith("x-sidecar-"):
        raise ValueError("this header is the sidecar's to set")
    return text


def header_value(text: str) -> str:
    for name in TEMPLATE.findall(text):
        if name not in TEMPLATE_NAMES:
            raise ValueError(f"{{{name}}} is unknown: a template may name {', '.join(f'{{{known}}}' for known in TEMPLATE_NAMES)}")
    return literal(text)


def variable_name(text: str) -> str:
    if looks_like_a_key(text) or not _VARIABLE_NAME.fullmatch(text):
        raise ValueError("must be the name of an environment variable: letters, digits and '_'")
    return text


def duration(text: object) -> float | None:
    """`10s`, `1.5h`, `365d` -> seconds; `none` -> None."""
    if text == "none":
        return None
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise ValueError("must be a duration with its unit, like 500ms, 10s, 5m, 12h or 365d, or none")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if not 0 < seconds < math.inf:
        raise ValueError("must be more than 0; none is no limit")
    return seconds


def size(text: object) -> int:
    """`32MiB` -> bytes."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if not match or not 0 < len(match[1]) < 10:
        raise ValueError("must be a size with its unit, like 512KiB or 32MiB")
    return int(match[1]) * _BYTES[match[2]]


def limit(text: object) -> Limit:
    """`$5.00`, `2M tokens`, `500k tokens`."""
    if isinstance(text, str) and (dollars := _DOLLARS.fullmatch(text)):
        found = Limit(int(Decimal(dollars[1]) * 10**9), Unit.DOLLARS)
    elif isinstance(text, str) and (tokens := _TOKENS.fullmatch(text)):
        found = Limit(int(Decimal(tokens[1]) * _THOUSANDS[tokens[2]]), Unit.TOKENS)
    else:
        raise ValueError("must be an amount with its unit, like $5.00, 2M tokens or 500k tokens")
    if not found.amount:
        raise ValueError("must be more than 0")
    return found


def price(value: object) -> Decimal:
    """Dollars per million tokens, exactly as written."""
    found = Decimal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else Decimal("NaN")
    if not found.is_finite() or found < 0:
        raise ValueError("must be dollars per million tokens, like 0.5 or 15")
    return found


def share(text: object) -> Decimal:
    """`10%` -> 0.1."""
    match = _SHARE.fullmatch(text) if isinstance(text, str) else None
    if not match or not 0 < Decimal(match[1]) <= 100:
        raise ValueError("must be a share of the price, like 10% or 7.5%")
    return Decimal(match[1]) / 100


def share_text(share: Decimal) -> str:
    return f"{(share * 100).normalize():f}%"


def limit_text(limit: Limit) -> str:
    """A writing that `limit` reads as the same."""
    if limit.unit is Unit.DOLLARS:
        whole, rest = divmod(limit.amount, 10**9)
        return f"${whole}.{f'{rest:09}'.rstrip('0'):0<2}"
    return next(f"{limit.amount // size}{letter} tokens" for letter, size in reversed(_THOUSANDS.items()) if limit.amount % size == 0)


def duration_text(seconds: float | None) -> str:
    """The shortest writing that `duration` reads as the same."""
    if seconds is None:
        return "none"
    unit = next((unit for unit in ("d", "h", "m", "s") if seconds % _SECONDS[unit] == 0), "ms")
    return f"{seconds / _SECONDS[unit]:.15g}{unit}"


def size_text(size_bytes: int) -> str:
    unit = next(unit for unit in ("GiB", "MiB", "KiB", "B") if size_bytes % _BYTES[unit] == 0)
    return f"{size_bytes // _BYTES[unit]}{unit}"


def address(text: object) -> tuple[str, int]:
    """`127.0.0.1:4180`, `[::1]:4180` -> host, port."""
    host, colon, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") and ":" in host else host if ":" not in host else ""
    if not colon or not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError("must be an address and a port, like 127.0.0.1:4180 or [::1]:4180")
    if _ip_address(host) is None:
        if not is_loopback(host):
            raise ValueError("must be an IP address and a port, like 127.0.0.1:4180 or [::1]:4180: a name can stand for several")
        host = "127.0.0.1"
    return host, int(port)


def host_name(text: str) -> str:
    if not _is_host(text):
        raise ValueError("must be a host's name without scheme or port, like host.docker.internal")
    return no_key(text.lower())


def _is_host(text: str) -> bool:
    return bool(_HOST_NAME.fullmatch(text)) or _ip_address(text) is not None


def _ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def url(text: str) -> str:
    """An http or https URL without user, query and fragment.  A slash at its end is dropped."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")  # as the system's resolver is asked
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in ("http", "https") or not host or port == 0 or re.search(r"[^!-~]", text):
        raise ValueError("must be a URL that begins with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("a URL here has no user or password in it: a key is never written here")
    no_key(text)
    if "?" in text or "#" in text:
        raise ValueError("a URL here has no query and no fragment")
    return text.rstrip("/")


def proxy(text: str) -> str:
    return text if text in ("env", "none") else url(text)


def path(text: str) -> str:
    if not text.startswith("/") or re.search(r"[^!-~]|[?#]", text):
        raise ValueError("must be a path that begins with /, without query")
    if _holds_a_key(text):
        raise ValueError("this looks like a key, and a key is never written here")
    return text
