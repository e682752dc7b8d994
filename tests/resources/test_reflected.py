"""Names at the other end of a reflection."""

from __future__ import annotations

import pytest

from continuo.resources.reflected import root_ca


@pytest.mark.parametrize(
    ("origin", "name"), [("shop-green", "shop"), ("green", "green"), ("a.-..b", "a"), ("rose", "rose")]
)
def test_the_name_of_a_ca_bundle_is_valid_wherever_the_id_is_cut(origin: str, name: str) -> None:
    assert root_ca(origin) == f"kube-root-ca.crt.{name}"
