"""The console: pages for people, rendered here, with style sheets and scripts of our own. Programs use ``api``."""
