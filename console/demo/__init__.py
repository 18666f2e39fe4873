"""The demo: made-up applications through the public APIs, each party in its own role."""
