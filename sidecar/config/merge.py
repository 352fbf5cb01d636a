"""One gateway: its preset with what the user's file says put over it.  The one place where the two meet.

Values in, values out; `folder` is where relative paths of the file begin.
"""

from __future__ import annotations

import os.path
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.config.schema import GatewayForm, SecretHeader
from sidecar.gateways.gateway import Auth, Command, Gateway, KeyFile, Keyring, ModelRule, Secret, SecretFile, Source, Variable
from sidecar.gateways.presets import Preset, credential_headers, presets
from sidecar.pricing.terms import ModelRates, Rates, Terms

if TYPE_CHECKING:
    from decimal import Decimal

    from sidecar.config.check import Contents
    from sidecar.config.schema import CredentialForm, FileForm, PricesForm


def gateways(contents: Contents, folder: str) -> dict[str, Gateway]:
    """Every gateway of the file, then every preset that needs nothing but a key."""
    untouched = {name: GatewayForm(preset=name) for name, preset in presets().items() if preset.base_url}
    forms = {**contents.gateways, **{name: form for name, form in untouched.items() if name not in contents.gateways}}
    merged = {name: gateway(name, form, contents.file, folder) for name, form in forms.items()}
    secret_headers = {name for each in merged.values() for name, value in each.headers if isinstance(value, Secret)}
    dropped = credential_headers() | {name.lower() for name in secret_headers | {each.auth.header for each in merged.values()}}
    return {name: replace(each, credential_headers=dropped) for name, each in merged.items()}


def gateway(name: str, form: GatewayForm, file: FileForm, folder: str) -> Gateway:
    preset = presets().get(form.preset, Preset())
    own_models = tuple(ModelRule(pattern, model) for pattern, model in (form.models or {}).items())
    # `models: {}` means: leave every id as it is.
    leave_models = form.models is not None and not form.models
    ca_file = form.ca_file or file.ca_file
    return Gateway(
        name=name,
        preset=form.preset or None,
        base_url=form.base_url or preset.base_url or "",
        auth=_auth(form, preset),
        credential=_secret(form.credential, name, folder) if form.credential else _usual_secret(name, preset),
        beside=form.beside,
        headers=_headers(form, preset, name, folder),
        tags=form.tags,
        paths={**preset.paths, **form.paths},
        model_rules=() if leave_models else (*own_models, *(ModelRule(pattern, model) for pattern, model in preset.models.items())),
        model_form=None if leave_models else preset.model_form,
        only=form.only,
        agent_env={**preset.agent_env, **form.agent_env},
        proxy=form.proxy or file.proxy,
        ca_file=expanded(ca_file, folder) if ca_file else None,
        terms=Terms(preset.price_provider, file.prices.discount(name), model_rates(file.prices)),
    )


def expanded(path: str, folder: str) -> str:
    home = os.path.expanduser(path)
    return str(Path(folder, home))


def model_rates(form: PricesForm) -> tuple[ModelRates, ...]:
    """What is not given costs what the next best costs: a one-hour write a write, a cached token an input token."""
    return tuple(
        ModelRates(
            pattern,
            Rates(
                input=rates.input,
                output=rates.output,
                cache_read=_or(rates.cache_read, rates.input),
                cache_write_5m=_or(rates.cache_write_5m, rates.input),
                cache_write_1h=_or(rates.cache_write_1h, _or(rates.cache_write_5m, rates.input)),
            ),
        )
        for pattern, rates in form.models.items()
    )


def _or(given: Decimal | None, otherwise: Decimal) -> Decimal:
    return otherwise if given is None else given


def _auth(form: GatewayForm, preset: Preset) -> Auth:
    if form.auth:
        return Auth(form.auth.header, form.auth.scheme)
    return preset.beside if form.beside and preset.beside else preset.auth


def _headers(form: GatewayForm, preset: Preset, name: str, folder: str) -> tuple[tuple[str, str | Secret], ...]:
    """The preset's, each replaced by the user's of the same name in any case, then the user's others."""
    headers: dict[str, tuple[str, str | Secret]] = {header.lower(): (header, value) for header, value in preset.headers.items()}
    for header, value in form.headers.items():
        secret = _secret(value.credential, name, folder) if isinstance(value, SecretHeader) else value
        headers[header.lower()] = (header, secret)
    return tuple(headers.values())


def _usual_secret(name: str, preset: Preset) -> Secret:
    return Secret((Keyring(name), KeyFile(name), *(Variable(variable) for variable in preset.variables)))


def _secret(form: CredentialForm, name: str, folder: str) -> Secret:
    source: Source
    if form.env:
        source = Variable(form.env)
    elif form.file:
        source = SecretFile(expanded(form.file, folder), form.key)
    elif form.command:
        source = Command(form.command, form.ttl)
    else:
        source = Keyring(form.keyring or name)
    return Secret((source,))
