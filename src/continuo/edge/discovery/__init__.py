"""The Edge Resource Manager: one Flavor for each sensor of a board behind an edge node, as long as it can be sold."""
