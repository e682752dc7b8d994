"""`continuo demo sensors`: one cluster sells what boards measure, two buy it, in front of you."""
