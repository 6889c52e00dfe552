"""What counts and tickets of late say beside those at training; counting itself is left to metrics."""
