"""HTTP: what every request passes, the routes, and the one form of every error."""
