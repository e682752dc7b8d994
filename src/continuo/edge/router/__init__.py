"""The Router Manager: what was bought becomes rules of KubeEdge's router and routes of the relay."""
