"""A JPEG made smaller, with its EXIF kept; needs nothing but Pillow, so that the post can do it too."""

import io

from PIL import Image, UnidentifiedImageError

QUALITIES = (75, 55, 35)
HALVINGS = 4
"""1920 x 1080 becomes 120 x 68: smaller ones show nothing."""


def shrunk(jpeg: bytes, most_bytes: int) -> tuple[bytes, int, int] | None:
    """A JPEG of at most ``most_bytes``, its width and height in pixels; None where none is small enough.

    Quality goes first, then size, by halves.
    """
    try:
        with Image.open(io.BytesIO(jpeg)) as picture:
            exif = picture.getexif().tobytes() if picture.getexif() else b""
            for halved in range(HALVINGS + 1):
                size = (max(1, picture.width >> halved), max(1, picture.height >> halved))
                smaller = picture.resize(size, Image.Resampling.BOX) if halved else picture
                for quality in QUALITIES:
                    out = io.BytesIO()
                    smaller.save(out, "JPEG", quality=quality, exif=exif)
                    if out.tell() <= most_bytes:
                        return out.getvalue(), *size
    except (UnidentifiedImageError, OSError):
        return None
    return None
