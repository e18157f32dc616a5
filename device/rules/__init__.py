"""Pure decisions: (state, cause, now) to (state, drafts, effects). No I/O, no clock, no threads."""
