"""Power cuts: a disk with a volatile cache under the real program, and what of it was green is still there."""
