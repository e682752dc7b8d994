"""The HTTP faces: routes that speak to people's tools, over plain services that speak to the management cluster."""
