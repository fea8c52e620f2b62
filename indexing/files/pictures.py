"""Pictures as documents: their frames as gray values for recognition, and as PNG for the page."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits, FileText, Scalar, check_pages

if TYPE_CHECKING:
    from PIL import Image as ImageModule

    Image = ImageModule.Image

KINDS = {"png": "PNG", "jpg": "JPEG", "tiff": "TIFF", "webp": "WebP"}
MOST_PIXELS = 100_000_000
USUAL_DPI = 300
_SMALL = 1_200
_DPI = (100, 1_200)
_SQUARE, _CONTRAST = 8, 24


def picture_kind(data: bytes) -> str:
    """png, jpg, tiff or webp, by the first bytes; "" for anything else.

    >>> picture_kind(b"\\x89PNG\\r\\n\\x1a\\n..."), picture_kind(b"Bridges")
    ('png', '')
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if data.startswith((b"II*\x00", b"MM\x00*")):
        return "tiff"
    return "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def read_picture(data: bytes, limits: FileLimits) -> list[FileText]:
    """A picture without its text: one page for each frame, all of them to be recognised. Raises UnreadableFile."""
    image = _opened(data)
    count = _frames(image)
    check_pages(count, limits.max_pages)
    pages = tuple(range(0, 2 * count, 2))
    meta: dict[str, Scalar] = {"file_type": picture_kind(data), "page_count": count}
    return [FileText("\n\n" * (count - 1), pages, meta, unread=tuple(range(1, count + 1)))]


def gray(data: bytes, number: int) -> tuple[Any, int]:
    """(gray values uint8 [height, width], dots per inch) of a frame, from 1. Small pictures are doubled in size.

    Raises UnreadableFile.
    """
    import numpy as np

    image = _frame(data, number)
    dpi = _dpi(image)
    flat = _on_white(image).convert("L")
    if max(flat.size) < _SMALL:
        flat = flat.resize((2 * flat.width, 2 * flat.height), resample=3)
        dpi *= 2
    return np.asarray(flat, dtype=np.uint8), dpi


def is_blank(picture: Any) -> bool:
    """Whether gray values [height, width] show nothing: the means of all squares of 8 pixels are nearly the same."""
    height, width = (side // _SQUARE * _SQUARE for side in picture.shape)
    if not height or not width:
        return False
    squares = picture[:height, :width].reshape(height // _SQUARE, _SQUARE, width // _SQUARE, _SQUARE).mean(axis=(1, 3))
    return float(squares.max() - squares.min()) < _CONTRAST


def drawn_frame(data: bytes, number: int, pixels: int) -> tuple[int, int, bytes]:
    """(width, height, PNG) of a frame, from 1, reduced to at most this many pixels. Raises UnreadableFile."""
    image = _on_white(_frame(data, number)).convert("RGB")
    scale = min(1.0, (pixels / (image.width * image.height)) ** 0.5)
    if scale < 1:
        image = image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))))
    out = io.BytesIO()
    image.save(out, "PNG")
    return image.width, image.height, out.getvalue()


def _opened(data: bytes) -> Image:
    """Raises UnreadableFile for a damaged picture, or one of too many pixels."""
    from PIL import Image as ImageModule
    from PIL import UnidentifiedImageError

    ImageModule.MAX_IMAGE_PIXELS = None
    name = KINDS.get(picture_kind(data), "picture")
    try:
        image: Image = ImageModule.open(io.BytesIO(data), formats=("PNG", "JPEG", "TIFF", "WEBP"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise UnreadableFile(f"damaged, or not an image ({name})") from None
    _check_pixels(image)
    return image


def _check_pixels(image: Image) -> None:
    if image.width * image.height > MOST_PIXELS:
        size = f"{image.width:,} by {image.height:,} pixels"
        raise UnreadableFile(f"an image of {size}, more than the {MOST_PIXELS:,} pixels that are read")


def _frames(image: Image) -> int:
    """Pages of a TIFF; of an animation the first frame counts only."""
    return int(getattr(image, "n_frames", 1)) if image.format == "TIFF" else 1


def _frame(data: bytes, number: int) -> Image:
    """A frame as it is shown: turned as its camera noted."""
    from PIL import ImageOps

    image = _opened(data)
    try:
        image.seek(number - 1)
        _check_pixels(image)
        image.load()
        return ImageOps.exif_transpose(image)
    except (OSError, ValueError, EOFError, SyntaxError):
        raise UnreadableFile(f"damaged: image {number:,} cannot be decoded") from None


def _on_white(image: Image) -> Image:
    """The picture over white where it is transparent; 16-bit values reduced to 8."""
    from PIL import Image as ImageModule

    if image.mode.startswith(("I", "F")):
        low, high = image.getextrema()
        span = max(1.0, float(high) - float(low))  # type: ignore[arg-type]
        return image.point(lambda value: (value - low) * (255 / span)).convert("L")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        return ImageModule.alpha_composite(ImageModule.new("RGBA", over.size, "white"), over).convert("RGB")
    return image


def _dpi(image: Image) -> int:
    """The resolution that the file states, if it is plausible; else USUAL_DPI."""
    stated = image.info.get("dpi", (0, 0))
    try:
        found = round(float(stated[0]))
    except (TypeError, ValueError, IndexError, OverflowError, ZeroDivisionError):
        found = 0
    return found if _DPI[0] <= found <= _DPI[1] else USUAL_DPI
