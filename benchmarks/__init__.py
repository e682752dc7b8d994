"""What Continuo costs, measured: every benchmark prints ratios against a baseline named in the same run."""
