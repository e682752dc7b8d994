"""The aggregator: providers that each consumer sees as one node, with what they have together and no word of them."""
