"""`continuo demo boards`: a hub and five boards, declared as Kubernetes resources, in front of you."""
