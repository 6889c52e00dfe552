"""Commands for operators: check a running service, measure it, classify a file offline, bump the version."""
