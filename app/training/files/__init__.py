"""The files of a version that are neither weights nor pages."""
