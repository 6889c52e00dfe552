"""HTTP routes, and how their bodies are read, answered and documented."""
