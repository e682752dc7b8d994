"""REAR: how flavors are sold and bought between FLUIDOS nodes. `seller/` answers, `buyer/` asks; both share the wire."""
