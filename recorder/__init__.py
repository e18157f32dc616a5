"""The recorder at headquarters: subscribes, verifies, stores durably, and names what is missing."""
