"""Our own reflection engine: pods bound to a virtual node of one cluster run in another, over nothing but both APIs."""
