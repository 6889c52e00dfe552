"""Training data: written situations, and the command that composes tickets from them."""
