"""The files of a version by name, and those among them that are neither weights nor pages."""
