"""Rows of a file to labelled tickets, and what cannot be trained on, said plainly."""
