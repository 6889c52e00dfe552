"""One server a peer, each run by the Python of that peer's own virtual environment."""
