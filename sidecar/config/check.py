"""A document -> the forms it fills, or every fault in it with line and column.  Pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from sidecar.config.document import Document, Fault, Path
from sidecar.config.schema import (
    HEADER_KINDS,
    Around,
    AuthForm,
    BudgetForm,
    CredentialForm,
    FileForm,
    GatewayForm,
    GatewayPricesForm,
    RatesForm,
    TimeoutsForm,
)
from sidecar.gateways.presets import presets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

Form = TypeVar("Form", bound=BaseModel)

_KEYS = {
    name
    for form in (FileForm, GatewayForm, CredentialForm, AuthForm, BudgetForm, RatesForm, GatewayPricesForm, TimeoutsForm)
    for name in form.model_fields
}


@dataclass(frozen=True, slots=True)
class Contents:
    """What the file says, each gateway under its name, presets not yet put under."""

    file: FileForm = field(default_factory=FileForm)
    gateways: Mapping[str, GatewayForm] = field(default_factory=dict)


def check(document: Document) -> tuple[Contents, list[Fault]]:
    """The contents, to be used only where there is no fault; the faults in the order of the file."""
    faults = list(document.faults)
    if not isinstance(document.values, dict):
        what = "the file must be a mapping, like gateway: vercel"
        return Contents(), [*faults, Fault(document.place(()), (), what)]
    file = _filled(FileForm, document, (), Around(known=known_gateways(document)), faults)
    entries = document.values.get("gateways")
    gateways = {
        name: _filled(GatewayForm, document, ("gateways", name), Around(gateway=name), faults)
        for name in (entries if isinstance(entries, dict) else {})
    }
    contents = Contents(file or FileForm(), {name: form for name, form in gateways.items() if form})
    return contents, sorted(faults, key=lambda fault: fault.place)


def known_gateways(document: Document) -> tuple[str, ...]:
    """The names that `gateway:` may have: the user's, and every preset that needs nothing but a key."""
    entries = document.values.get("gateways") if isinstance(document.values, dict) else None
    own = tuple(entries) if isinstance(entries, dict) else ()
    return (*own, *(name for name, preset in presets().items() if preset.base_url and name not in own))


def _filled(form: type[Form], document: Document, at: Path, around: Around, faults: list[Fault]) -> Form | None:
    value = document.values
    for key in at:
        value = value[key]  # type: ignore[index]  # the caller has seen the mappings on the way
    try:
        return form.model_validate({} if value is None else value, context=around)
    except ValidationError as error:
        faults += [_fault(document, at, details) for details in error.errors(include_url=False)]
        return None


def _fault(document: Document, at: Path, details: ErrorDetails) -> Fault:
    # pydantic puts the tag of a header's kind and, for a faulty key, `[key]` among the steps.
    steps = tuple(step for step in details["loc"] if step not in HEADER_KINDS)
    of_key = steps[-1:] == ("[key]",)
    path = (*at, *(steps[:-1] if of_key else steps))
    return Fault(document.place(path, of_key=of_key or details["type"] == "extra_forbidden"), path, _sentence(details))


_SENTENCES = {
    "missing": "is missing",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list, like [a, b]",
    "too_short": "is empty",
    **dict.fromkeys(("dict_type", "mapping_type", "model_type"), "must be a mapping, like {key: value}"),
}


def _sentence(details: ErrorDetails) -> str:
    """The finding in the words of someone who writes YAML.  Never the value: it may be a secret in the wrong place."""
    match details["type"]:
        case "value_error":
            return str(details["ctx"]["error"])
        case "literal_error":
            return f"must be {details['ctx']['expected']}"
        case "string_type":
            return _not_text(details["input"])
        case "extra_forbidden":
            key = str(details["loc"][-1])
            near = difflib.get_close_matches(key, _KEYS - {key}, 1)
            return "this key is unknown" + (f"; did you mean {near[0]}?" if near else "")
        case kind:
            return _SENTENCES.get(kind, details["msg"])


def _not_text(value: object) -> str:
    match value:
        case bool():
            return f"YAML reads this as {str(value).lower()}, not as text: put it in quotes"
        case dict() | tuple():
            return "must be text"
        case _:
            return "YAML reads this as a number or a date, not as text: put it in quotes"
