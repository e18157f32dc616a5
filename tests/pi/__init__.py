"""The Pi's own software without a Pi: Debian trixie in a folder, real picamera2 on libcamera's virtual camera."""
