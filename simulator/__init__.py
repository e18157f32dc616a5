"""A post without hardware: the production code runs unchanged, only what touches copper is replaced."""
