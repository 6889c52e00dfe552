"""Which tickets are held out, with all that are like them."""
