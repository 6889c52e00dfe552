"""How good a model is on tickets that it did not see, and how sure that is."""
