"""K8Slices that were bought: a namespace at the seller's, and a node of exactly that size at the buyer's."""
