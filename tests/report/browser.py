"""A headless Chromium that opens a page, driven over a pipe: nothing has to be installed for it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# It reads what it is told from 3 and writes to 4, which may be taken for something else here.
BEGIN = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3])
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def chromium() -> str | None:
    """The browser's file, if there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """A page. It collects what must not be: errors, what is logged, and what is asked for."""

    def __init__(self, write: int, read: int) -> None:
        self._write = write
        self._read = read
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def open(self, path: Path, width: int = 1200, *, dark: bool = False) -> None:
        self._loaded = False
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._next()

    def run(self, script: str) -> Any:
        """The value of an expression on the page, after what it is waiting for."""
        wait = "await new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)));"
        code = f"(async () => {{ {wait} const found = ({script}); {wait} return found; }})()"
        done = self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def key(self, name: str) -> None:
        codes = {"ArrowLeft": 37, "ArrowRight": 39, "Escape": 27}
        more = {"windowsVirtualKeyCode": codes[name]} if name in codes else {"text": name}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._read, 2**20)
            assert more, "the browser has ended"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        content: dict[str, Any] = json.loads(message)
        self._note(content.get("method"), content.get("params", {}))
        return content

    def _note(self, method: str | None, found: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(found["exceptionDetails"])[:400])
        elif method == "Runtime.consoleAPICalled":
            self.problems.append(json.dumps(found["args"])[:400])
        elif method == "Log.entryAdded":
            self.problems.append(found["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            url = found["request"]["url"]
            if not url.startswith("data:"):
                self.requests.append(url)


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser, with an empty profile in a folder."""
    found = chromium()
    assert found is not None
    (child_reads, write), (read, child_writes) = os.pipe(), os.pipe()
    options = [
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={folder}"),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN, str(child_reads), str(child_writes), found, *options],
        pass_fds=(child_reads, child_writes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(child_reads)
    os.close(child_writes)
    try:
        yield Browser(write, read)
    finally:
        os.close(read)
        os.close(write)  # it ends by itself when nobody drives it any more
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
