"""What a control plane does by itself in every cluster, driven by changes and never by polling."""
