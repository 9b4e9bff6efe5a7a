"""A headless Chromium for tests, driven through ChromeDriver's HTTP interface; nothing but the standard library."""

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND",
]  # fmt: skip
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def missing() -> str:
    """What is not installed, or nothing."""
    names = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"{' and '.join(names)} not installed (apt-get install chromium chromium-driver)" if names else ""


class Browser:
    """One session: open a file, run script, find and press, read the console, take a picture."""

    def __init__(self, address: str, session: str) -> None:
        self._address, self._session = address, session

    def call(self, path: str, body: Any = None, method: str | None = None) -> Any:
        return request(f"{self._address}/session/{self._session}/{path}", body, method)

    def open(self, path: Path) -> None:
        self.call("url", {"url": path.resolve().as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        return self.call("execute/sync", {"script": script, "args": list(arguments)})

    def element(self, css: str) -> str:
        return str(self.call("element", {"using": "css selector", "value": css})[ELEMENT])

    def click(self, css: str) -> None:
        self.run("arguments[0].scrollIntoView({block: 'center'})", {ELEMENT: self.element(css)})
        self.call(f"element/{self.element(css)}/click", {})

    def press(self, css: str, keys: str) -> None:
        self.call(f"element/{self.element(css)}/value", {"text": keys})

    def console(self) -> list[str]:
        return [entry["message"] for entry in self.call("se/log", {"type": "browser"})]

    def picture(self) -> bytes:
        return base64.b64decode(self.call("screenshot", method="GET"))


def request(url: str, body: Any = None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(asked, timeout=120) as answer:  # noqa: S310
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from error


@contextmanager
def browser(width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[Browser]:
    """A browser with a viewport of this size (390 is a phone's)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )  # fmt: skip
        try:
            for _ in range(200):
                try:
                    if request(f"{address}/status")["ready"]:
                        break
                except OSError:
                    time.sleep(0.1)
            flags = [*FLAGS, f"--user-data-dir={profile}", f"--window-size={max(width, 500)},{height}"]
            if dark:
                flags.append("--blink-settings=preferredColorScheme=0")
            options: dict[str, Any] = {"args": flags, "binary": shutil.which("chromium")}
            if width < 500:
                metrics = {"width": width, "height": height, "pixelRatio": 1.0, "touch": True, "mobile": True}
                options["mobileEmulation"] = {"deviceMetrics": metrics}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            session = request(f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            try:
                yield Browser(address, session)
            finally:
                request(f"{address}/session/{session}", method="DELETE")
        finally:
            driver.terminate()
            driver.wait(20)
