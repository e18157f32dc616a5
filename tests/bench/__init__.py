"""``make bench``: the figures that this program promises, each beside what the same work costs bare."""
