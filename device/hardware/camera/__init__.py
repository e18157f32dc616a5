"""The camera: a child process that may be killed, and the thread that looks after it."""
