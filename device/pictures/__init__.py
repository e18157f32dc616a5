"""What becomes of a picture once it has left the camera: stored, announced, handed over."""
