"""Colours of methods as classes of CSS, readable on light and on dark ground."""

from collections.abc import Iterable

DARK, LEAST_CONTRAST = "#15181d", 4.0  # ground of the dark page; contrast of a colour to it


def colour_class(colour: str) -> str:
    """The class of a colour such as `#D55E00`."""
    return f"c-{colour.lstrip('#')}"


def stylesheet(colours: Iterable[str]) -> str:
    """Rules that give each class its colour as `--c`, lighter on dark ground."""
    chosen = sorted(set(colours))
    light = "".join(f".{colour_class(c)}{{--c:{c}}}" for c in chosen)
    dark = "".join(f".{colour_class(c)}{{--c:{on_dark(c)}}}" for c in chosen)
    return f"{light}\n@media (prefers-color-scheme:dark){{{dark}}}\n"


def on_dark(colour: str) -> str:
    """The colour, mixed with as much white as it needs on dark ground."""
    channels = _channels(colour)
    for step in range(21):
        mixed = [round(c + (255 - c) * step / 20) for c in channels]
        if contrast(mixed, _channels(DARK)) >= LEAST_CONTRAST:
            break
    return "#" + "".join(f"{c:02x}" for c in mixed)


def contrast(one: list[int], other: list[int]) -> float:
    """Contrast of two colours by WCAG 2, 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(channels: list[int]) -> float:
    parts = [c / 255 for c in channels]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
