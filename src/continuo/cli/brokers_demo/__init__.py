"""`continuo demo brokers`: a market of four providers, a broker and two consumers, in front of you."""
