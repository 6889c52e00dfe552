"""Pure ASGI middleware, one file each; ``app.main`` lists them from the outside in."""
