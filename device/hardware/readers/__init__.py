"""Badge readers: one driver a module, all behind the seam in ``reader.py``."""
