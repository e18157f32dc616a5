"""Damage: bytes of every file in the state folder are spoilt, and the post goes on with what is sound."""
