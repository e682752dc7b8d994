"""Controllers that keep boards as declared, through any IoTronic-compatible endpoint, in Crossplane's manner."""
