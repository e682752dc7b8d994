"""A network's configuration: what is wrong is said in a sentence that names it."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.iot.hub.networks import config

HASH = "a" * 64


def port(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "board": f"b{number}",
        "mac": f"fa:16:3e:00:00:0{number}",
        "ip": f"10.5.0.{number}/24",
        "token": HASH,
        **changed,
    }


def told(**changed: Any) -> dict[str, Any]:
    return {"ports": {"p1": port(1), "p2": port(2)}, **changed}


def rule(**said: Any) -> dict[str, Any]:
    return told(security_groups=[{"name": "web", "rules": [{"direction": "ingress", **said}]}])


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            told(encryption="wireguard"),
            "network n: encryption 'wireguard' is not offered: ports are carried in TLS, so say tls",
        ),
        (told(mtu=100), "network n: mtu 100 is no number from 576 to 9000"),
        (told(mtu="1400"), "network n: mtu '1400' is no number from 576 to 9000"),
        (
            told(ports={"p1": port(1, mac="01:00:5e:00:00:01")}),
            "network n: port p1: mac '01:00:5e:00:00:01' is no address of one device, such as fa:16:3e:00:00:01",
        ),
        (told(ports={"p1": port(1, mac="")}), "network n: port p1: mac is missing"),
        (
            told(ports={"p1": port(1, ip="10.5.0.300")}),
            "network n: port p1: ip '10.5.0.300' is no IPv4 address, such as 10.5.0.2 or 10.5.0.2/24",
        ),
        (
            told(ports={"p1": port(1, token="plain")}),
            "network n: port p1: token must be the SHA-256 of the port's token in 64 hexadecimal digits",
        ),
        (
            told(ports={"p1": port(1, security_groups=["web"])}),
            "network n: port p1: security group 'web' is none of the network's: default",
        ),
        (
            told(ports={"p1": port(1), "p2": port(2, mac="FA:16:3E:00:00:01")}),
            "network n: ports p1 and p2 have the same mac fa:16:3e:00:00:01",
        ),
        (
            told(ports={"p1": port(1), "p2": port(2, ip="10.5.0.1")}),
            "network n: ports p1 and p2 have the same ip 10.5.0.1",
        ),
        (told(security_groups=[{"rules": []}]), "network n: name is missing"),
        (
            rule(direction="in"),
            "network n: security group web: rule 0: direction 'in' is neither ingress nor egress",
        ),
        (
            rule(protocol="sctp"),
            "network n: security group web: rule 0: protocol 'sctp' is none of any, tcp, udp, icmp, and no number up to 255",
        ),
        (
            rule(port_min=80),
            "network n: security group web: rule 0: ports are of tcp and udp (of icmp they are type and code): "
            "say which protocol",
        ),
        (
            rule(protocol="tcp", port_min=90, port_max=80),
            "network n: security group web: rule 0: ports 90 to 80 are no range from 0 to 65535",
        ),
        (
            rule(protocol="icmp", port_max=0),
            "network n: security group web: rule 0: of icmp port_min is the type and port_max the code, each from 0 to 255",
        ),
        (
            rule(remote_cidr="10.5.0.0/33"),
            "network n: security group web: rule 0: remote_cidr '10.5.0.0/33' is no IPv4 network, such as 10.5.0.0/24",
        ),
        (
            rule(remote_cidr="fd00::/8"),
            "network n: security group web: rule 0: remote_cidr 'fd00::/8' is no IPv4 network, such as 10.5.0.0/24",
        ),
        (
            rule(remote_cidr="10.5.0.0/24", remote_group="web"),
            "network n: security group web: rule 0: remote_cidr and remote_group exclude each other",
        ),
        (rule(remote_group="db"), "network n: security group web: remote_group 'db' is none of the network's"),
    ],
)
def test_what_is_wrong_is_said(said: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        config.read("n", said)
    assert str(error.value) == sentence


def test_what_is_left_out_is_as_neutron_has_it() -> None:
    network = config.read("n", told())
    assert network.mtu == 1400 and network.ports["p1"].groups == ("default",)
    assert network.groups["default"] == config.AS_NEUTRON
    own = config.read("n", rule(protocol="tcp", port_min=80)).groups["web"]
    assert own.ingress == (config.Rule(6, (80, 80), None, None),) and own.egress == (config.EVERYTHING,)
