"""The contract that every camera child keeps, the real one and the simulated."""
