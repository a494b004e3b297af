"""A board on a page of one's own browser, while a run goes on: what `nvn run --watch` shows.

It is served to this machine alone. What is served is a table of paths: nothing else can be asked
for, and a page of somebody else's that calls this machine by a name of its own is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nvn.console.board import Board
from nvn.console.screen import Rhythm, as_html
from nvn.errors import RunError

__all__ = ["Page"]

_HERE = ("127.0.0.1", "localhost")
_LINES = 12  # that have been said, the latest first

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>nvn</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { margin: 1.5rem; max-width: 75rem }
pre { overflow-x: auto; line-height: 1.35 }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top }
img { max-width: 100%; image-rendering: pixelated }
figcaption, #gone { opacity: 0.7 }
</style></head>
<body><main id="run"></main><p id="gone" hidden>The run has ended, or does not answer.</p>
<script src="/page.js"></script></body></html>
"""

_SCRIPT = """let last = "";
async function again() {
  const gone = document.getElementById("gone");
  try {
    const text = await (await fetch("/run")).text();
    if (text !== last) document.getElementById("run").innerHTML = last = text;
    gone.hidden = true;
  } catch { gone.hidden = false; }
  setTimeout(again, 1000);
}
again();
"""


class Page:
    """A page that shows the latest board, what has been said, and the latest pictures.

    It is a `Screen`, but stays when the board is taken away, until `stop`.

    Attributes:
        address: Where it is.

    Raises:
        RunError: No page can be served here.
    """

    def __init__(self) -> None:
        self._rhythm = Rhythm()
        self._title = ""
        self._board = ""
        self._said: list[str] = []
        self._pictures: dict[str, tuple[str, str]] = {}
        self._served: dict[str, tuple[str, bytes | Path | None]] = {
            "/": ("text/html; charset=utf-8", _PAGE.encode()),
            "/page.js": ("text/javascript; charset=utf-8", _SCRIPT.encode()),
        }
        self._write()
        try:
            self._server = _Server(self._served)
        except OSError as error:
            raise RunError(
                f"--watch: no page can be served on 127.0.0.1 ({error.strerror}); leave it out"
            ) from None
        self.address = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def begin(self, title: str) -> None:
        """Give the page a title."""
        self._title = title
        self._write()

    def due(self) -> bool:
        """Whether it is time to show another board."""
        return self._rhythm.due()

    def show(self, board: Board) -> None:
        """Show a board."""
        self._board = as_html(board)
        self._write()
        self._rhythm.drawn()

    def say(self, line: str) -> None:
        """Add a line."""
        self._said = [line, *self._said][:_LINES]
        self._write()

    def picture(self, name: str, caption: str, path: Path) -> None:
        """Show a picture, in place of the one before of that name."""
        before = self._pictures.get(name)
        at = f"/pictures/{quote(path.name)}"
        self._served[at] = ("image/png", path)
        self._pictures[name] = (at, caption)
        self._write()
        if before is not None and before[0] != at:
            self._served.pop(before[0], None)

    def close(self) -> None:
        """Keep the last board."""

    def stop(self) -> None:
        """Serve no longer."""
        self._server.shutdown()
        self._server.server_close()

    def _write(self) -> None:
        pictures = "".join(
            f'<figure><img src="{escape(at)}" alt="">'
            f"<figcaption>{escape(said)}</figcaption></figure>"
            for at, said in self._pictures.values()
        )
        said = "<br>".join(map(escape, self._said))
        text = f"<h1>{escape(self._title)}</h1>{self._board}{pictures}<p>{said}</p>"
        self._served["/run"] = ("text/html; charset=utf-8", text.encode())


class _Server(ThreadingHTTPServer):
    """Serves a table of paths, to this machine."""

    daemon_threads = True

    def __init__(self, served: Mapping[str, tuple[str, bytes | Path | None]]) -> None:
        self.served = served
        super().__init__((_HERE[0], 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that goes away in between is no concern of the run's."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 10.0  # seconds, after which a connection that asks for nothing is closed
    server: _Server

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").partition(":")[0]
        kind, what = self.server.served.get(self.path, ("", None))
        if host not in _HERE:
            self.send_error(403)
            return
        if isinstance(what, Path):
            try:
                what = what.read_bytes()
            except OSError:
                what = None
        if what is None:
            self.send_error(404)
        else:
            self._answer(kind, what)

    def _answer(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            (
                "Content-Security-Policy",
                "default-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            ),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
