"""A page of pictures before and after, with a slider each: one file that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image

__all__ = ["MOST", "PAGE_NAME", "Shown", "page", "shown"]

PAGE_NAME = "before-after.html"
MOST = 100  # pairs on the page: it stays a file that a browser opens at once
_SIDE = 640  # px of the longer side of a picture on it, at most
_QUALITY = 85  # of JPEG

# The policy lets the page load nothing from anywhere, whatever is in the names.
_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.4 system-ui, sans-serif; max-width: 1320px; margin: 2rem auto;
  padding: 0 1rem; }}
h1 {{ font-size: 1.2rem; font-weight: 600; }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr));
  gap: 1.5rem; align-items: start; }}
figure {{ margin: 0; }}
.pair {{ position: relative; --at: 50%; }}
.pair img {{ display: block; width: 100%; aspect-ratio: var(--ratio); object-fit: contain; }}
.pair .after {{ position: absolute; inset: 0; clip-path: inset(0 0 0 var(--at)); }}
.pair::after {{ content: ""; position: absolute; inset: 0 auto 0 var(--at); width: 2px;
  margin-left: -1px; background: #fff; box-shadow: 0 0 3px #000; pointer-events: none; }}
.pair input {{ position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize; touch-action: pan-y; }}
.pair:focus-within {{ outline: 2px solid #1c7ed6; outline-offset: 2px; }}
figcaption {{ padding-top: .3rem; overflow-wrap: anywhere; opacity: .8; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{note}</p>
<main>
"""
_FIGURE = """<figure>
<div class="pair" style="--ratio: {ratio}">
<img alt="before" src="{before}">
<img alt="after" class="after" src="{after}">
<input type="range" min="0" max="100" value="50" aria-label="before and after of {name}">
</div>
<figcaption>{name}</figcaption>
</figure>
"""
_TAIL = """</main>
<script>
for (const input of document.querySelectorAll("input")) {
  const show = () => input.parentElement.style.setProperty("--at", input.value + "%");
  input.addEventListener("input", show);
  show(); // a page that is loaded again keeps where its sliders are
}
</script>
</body>
</html>
"""


@dataclass(frozen=True)
class Shown:
    """A picture before and after, as the page has it, and its name.

    Attributes:
        name: Its name.
        before: It, as JPEG.
        after: Its result, as JPEG.
        ratio: Its width and height.
    """

    name: str
    before: bytes
    after: bytes
    ratio: tuple[int, int]


def shown(name: str, before: Image.Image, after: Image.Image) -> Shown:
    """Return a picture before and after for the page, in the page's size."""
    return Shown(name, _jpeg(before), _jpeg(after), before.size)


def page(title: str, pairs: Iterable[Shown], total: int) -> str:
    """Return the page; `total` is how many results there are, of which the first are on it."""
    pairs = list(pairs)
    note = "Drag, or use the arrow keys: left of the line before, right of it after."
    if total > len(pairs):
        note += f" The first {len(pairs)} of {total}."
    head = _HEAD.format(title=html.escape(title), note=note)
    return "".join([head, *map(_figure, pairs), _TAIL])


def _figure(pair: Shown) -> str:
    return _FIGURE.format(
        ratio=f"{pair.ratio[0]} / {pair.ratio[1]}",
        before=_address(pair.before),
        after=_address(pair.after),
        name=html.escape(pair.name),
    )


def _jpeg(image: Image.Image) -> bytes:
    small = image.convert("RGB")
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    small.save(content, format="JPEG", quality=_QUALITY)
    return content.getvalue()


def _address(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
