"""What a running server can be asked and told: the control socket and the status pages."""
