"""Plugins log through oslo.log; where it is not installed, this is the part of it that they use."""
