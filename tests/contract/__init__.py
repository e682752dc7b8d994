"""What any Kubernetes API must do for us. No test here may know which server answers."""
