"""Real helpdesks that the tests install, start and use as people and programs do."""
