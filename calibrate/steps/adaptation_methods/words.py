"""Test-time adaptation methods and streams in words."""

from collections.abc import Mapping

from pydantic import BaseModel

from calibrate.page import format as fmt
from calibrate.steps.adaptation_methods.table import Method
from calibrate.steps.streams import Stream

#: What the papers call the methods.
NAMES: Mapping[str, str] = {
    "iew": "α-IEW",
    "prediction_time_bn": "prediction-time BN",
    "bn_alpha": "BN-α",
    "tent": "Tent",
    "eta": "ETA",
    "eata": "EATA",
    "sar": "SAR",
    "lame": "LAME",
}


def method_name(method: Method | None) -> str:
    """The paper's name; None is the network without adaptation."""
    return "no adaptation" if method is None else NAMES[method.kind]


def method_settings(method: Method) -> str:
    """The settings that are not the method's defaults, or nothing.

    >>> from calibrate.steps import SGD, BNAlpha, Tent
    >>> method_settings(BNAlpha(prior=16.0)), method_settings(Tent())
    ('prior 16', '')
    >>> method_settings(Tent(optimizer=SGD(), steps=2))
    'optimizer sgd (lr 0.00025, momentum 0.9), steps 2'
    """
    defaults = {name: field.default for name, field in type(method).model_fields.items()}
    return ", ".join(f"{name} {_value(value)}" for name, value in method if value != defaults[name])


def described(method: Method) -> str:
    """The paper's name, with what is not default."""
    settings = method_settings(method)
    return f"{method_name(method)} ({settings})" if settings else method_name(method)


def stream_words(stream: Stream) -> str:
    """The stream by its title, and its domains where there are several.

    >>> from calibrate.steps import Domain
    >>> fog = Domain(corruption="fog", severity=5)
    >>> stream_words(Stream(order="recurring", cycles=3, domains=(Domain(), fog), batch_size=1))
    '2 domains, recurring, one by one: as they are, C-style fog 5, 3 times'
    """
    if len(stream.domains) == 1:
        return stream.title
    cycles = f", {stream.cycles} times" if stream.cycles else ""
    return f"{stream.title}: {', '.join(domain.title for domain in stream.domains)}{cycles}"


def _value(value: object) -> str:
    if isinstance(value, BaseModel):
        fields = dict(value)
        kind = fields.pop("kind")
        return f"{kind} ({', '.join(f'{name} {_value(setting)}' for name, setting in fields.items())})"
    if isinstance(value, tuple):
        return " ".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else fmt.printable(str(value))
