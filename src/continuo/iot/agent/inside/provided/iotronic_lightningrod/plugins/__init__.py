"""Where the base of plugins was before; many plugins still import it from here."""
