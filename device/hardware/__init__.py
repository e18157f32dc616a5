"""Thin workers around copper: each has one thread, and each only puts readings."""
