"""What a buyer asks for of a sensor's flavor: endpoints, whether nobody else may have it, how often. Pure.

Secrets are taken out at once, so that what is stored, hashed or logged afterwards never had them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from continuo.edge.rear.names import SENSOR
from continuo.edge.rear.refusals import Refusal, bad
from continuo.edge.sensors import units
from continuo.resources.meta import Object

MOST_ENDPOINTS, MOST_SENSORS = 64, 1024
LONGEST_URL, LONGEST_SECRET = 2048, 4096
SCHEMES = ("none", "bearer", "signed", "spiffe")
_OURS = frozenset(("endpoints", "exclusive", "samplingRate", "commands", "sensors"))
_THEIRS = frozenset(
    (
        "uid",
        "node",
        "type",
        "model",
        "manufacturer",
        "market",
        "srate",
        "accuracy",
        "consumption",
        "latency",
        "extraProperties",
    )
)
"""What the FLUIDOS fork's own configuration has: it describes the sensor once more, and asks for nothing."""


@dataclass(frozen=True, slots=True)
class SensorTerms:
    """A configuration that makes sense by itself."""

    data: Object
    """As it is stored, but for the references to the Secret."""
    urls: tuple[str, ...]
    exclusive: bool
    sensors: tuple[str, ...]
    rate: Decimal | None
    """Hz; None: all readings."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By the endpoint's number, as text: the keys of the Secret."""

    def stored(self, secret: str) -> Object:
        """The configuration for objects: where a secret was, there is where it is kept now."""
        endpoints = []
        for number, endpoint in enumerate(self.data["endpoints"]):
            if str(number) in self.secrets:
                said = {**endpoint["authentication"], "secretRef": {"name": secret, "key": str(number)}}
                endpoint = {**endpoint, "authentication": said}
            endpoints.append(endpoint)
        more = {"secretRef": {"name": secret}} if self.secrets else {}
        return {"type": SENSOR, "data": {**self.data, "endpoints": endpoints, **more}}


def sensor_terms(configuration: Object | None) -> SensorTerms:
    """What a configuration asks for; raises Refusal (400) naming the field."""
    if configuration is None:
        raise bad("configuration is missing: a sensor is reserved with the endpoints that its readings go to")
    if configuration["type"] != SENSOR:
        raise bad(f"configuration.type is {configuration['type']}, but the flavor is a Sensor")
    data = configuration["data"]
    unknown = sorted(str(key) for key in data if key not in _OURS | _THEIRS)
    if unknown:
        raise bad(
            f"configuration.data has {unknown[0]!r:.60}, which means nothing: known are {', '.join(sorted(_OURS))}"
        )
    endpoints, secrets = _endpoints(data.get("endpoints"))
    rate = _rate(data.get("samplingRate"))
    sensors = _uids(data.get("sensors"))
    kept: Object = {"endpoints": endpoints}
    kept |= {name: True for name in ("exclusive", "commands") if _flag(data, name)}
    kept |= {"samplingRate": str(data["samplingRate"])} if rate is not None else {}
    kept |= {"sensors": list(sensors)} if sensors else {}
    urls = tuple(endpoint["url"] for endpoint in endpoints)
    return SensorTerms(kept, urls, _flag(data, "exclusive"), sensors, rate, secrets)


def _flag(data: Mapping[str, Any], name: str) -> bool:
    value = data.get(name, False)
    if not isinstance(value, bool):
        raise bad(f"configuration.data.{name} must be true or false, not {value!r:.40}")
    return value


def _rate(value: Any) -> Decimal | None:
    if value is None or value == "":
        return None
    try:
        rate = units.read(str(value) if isinstance(value, float) else value, units.RATE).value
    except units.BadNumber as error:
        raise bad(f"configuration.data.samplingRate {error}") from error
    if rate <= 0:
        raise bad(f"configuration.data.samplingRate is {units.brief(value)}: it must be above 0, such as 5 or 5 Hz")
    return rate


def _uids(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise bad("configuration.data.sensors must be a list of sensors' UIDs")
    if not value or len(value) > MOST_SENSORS:
        raise bad(f"configuration.data.sensors names {len(value)} sensors: it must be 1 to {MOST_SENSORS}, or left out")
    return tuple(dict.fromkeys(value))


def _endpoints(value: Any) -> tuple[list[Object], dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise bad('configuration.data.endpoints must be a list of URLs, such as ["https://sink.example.org/readings"]')
    if len(value) > MOST_ENDPOINTS:
        raise bad(f"configuration.data.endpoints has {len(value)} entries: at most {MOST_ENDPOINTS} are delivered to")
    found, secrets, seen = [], {}, set()
    for number, entry in enumerate(value):
        where = f"configuration.data.endpoints[{number}]"
        said: Any = {"url": entry} if isinstance(entry, str) else entry
        if not isinstance(said, Mapping):
            raise bad(f"{where} must be a URL, or an object with url and authentication")
        if more := sorted(str(key) for key in said if key not in ("url", "authentication")):
            raise bad(f"{where} has {more[0]!r:.60}, which means nothing: known are url and authentication")
        url = _url(said.get("url"), where)
        if url in seen:
            raise bad(f"{where} is the same URL as another endpoint: each is delivered to once")
        seen.add(url)
        authentication, secret = _authentication(said.get("authentication"), f"{where}.authentication", url)
        found.append({"url": url, **({"authentication": authentication} if authentication else {})})
        if secret:
            secrets[str(number)] = secret
    return found, secrets


def _url(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise bad(f"{where}.url must be a URL, such as https://sink.example.org/readings")
    if len(value) > LONGEST_URL:
        raise bad(f"{where}.url has {len(value)} characters: at most {LONGEST_URL} are allowed")
    if not value.isprintable() or " " in value:
        raise bad(f"{where}.url has a space or a control character in it: encode it as %20 and the like")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise bad(f"{where}.url is no URL: {error}") from error
    for wrong, why in (
        (parts.scheme not in ("http", "https"), "must begin with http:// or https://"),
        (not host, "names no host"),
        (
            parts.username is not None or parts.password is not None,
            "has a user or a password in it: name an authentication",
        ),
        ("," in value, "has a comma in it, at which some of KubeEdge's routers split it: encode it as %2C"),
        (bool(parts.fragment), "has a fragment, which no server ever sees: leave out what follows the #"),
    ):
        if wrong:
            raise bad(f"{where}.url {why}")
    return value


def _authentication(value: Any, where: str, url: str) -> tuple[Object, str]:
    """What is stored of it, and the secret."""
    if value is None:
        return {}, ""
    if not isinstance(value, Mapping):
        raise bad(f"{where} must be an object with scheme, and secret or spiffeID")
    if more := sorted(str(key) for key in value if key not in ("scheme", "secret", "spiffeID")):
        raise bad(f"{where} has {more[0]!r:.60}, which means nothing: known are scheme, secret and spiffeID")
    scheme, secret = value.get("scheme", "none"), value.get("secret")
    if scheme not in SCHEMES:
        raise bad(f"{where}.scheme is {scheme!r:.40}: it must be one of {', '.join(SCHEMES)}")
    if scheme in ("bearer", "signed"):
        return {"scheme": scheme}, _secret(secret, scheme, where)
    if secret is not None:
        raise bad(f"{where}.secret means nothing with the scheme {scheme}")
    if scheme == "none":
        return {}, ""
    return {"scheme": scheme, "spiffeID": _spiffe(value.get("spiffeID"), where, url)}, ""


def _secret(secret: Any, scheme: str, where: str) -> str:
    if not isinstance(secret, str) or not secret:
        raise bad(f"{where}.secret is missing: the scheme {scheme} needs one")
    if len(secret) > LONGEST_SECRET or not secret.isprintable() or not secret.isascii():
        raise bad(f"{where}.secret must be at most {LONGEST_SECRET} printable ASCII characters")
    return secret


def _spiffe(value: Any, where: str, url: str) -> str:
    from continuo.trust.ids import BadId, parse_id

    if not url.startswith("https://"):
        raise bad(f"{where}.scheme spiffe needs an https:// URL, since the identity is proved by TLS")
    try:
        return str(parse_id(value if isinstance(value, str) else ""))
    except BadId as error:
        raise bad(f"{where}.spiffeID: {error}") from error


def check_rate(terms: SensorTerms, flavor: Object, offered: Decimal | None) -> None:
    """That nobody is sold more readings than there are; raises Refusal."""
    if terms.rate is not None and offered is not None and terms.rate > offered:
        raise Refusal(
            400, "rate-too-high",
            f"configuration.data.samplingRate is {units.plain(terms.rate)} Hz, but flavor {flavor['metadata']['name']} gives "
            f"{units.plain(offered)} readings a second",
        )  # fmt: skip
