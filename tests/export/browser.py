"""`Browser`: headless Chromium, told what to do over a pipe in the protocol of its developer tools (no package is needed).

See https://chromedevtools.github.io/devtools-protocol: each message is JSON, ended by a zero byte.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

_FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe"),
]

#: What it takes at most until there is an answer, in seconds.
_PATIENCE = 120


class Browser:
    """A browser with a new profile in that directory, showing one page; with …, it is closed at the end."""

    def __init__(self, directory):
        self.number = 0
        self.received = b""
        self.problems = []
        to_read, self.writing = os.pipe()
        self.reading, to_write = os.pipe()

        def take_pipes():  # Chromium reads from descriptor 3 and writes to 4
            ends = os.dup(to_read), os.dup(to_write)
            for end, descriptor in zip(ends, (3, 4), strict=True):
                os.dup2(end, descriptor)

        self.process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, f"--user-data-dir={directory}", "about:blank"],
            preexec_fn=take_pipes,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_read)
        os.close(to_write)
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.tell(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._call("Browser.close")
            self.process.wait(timeout=10)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self.writing)
            os.close(self.reading)

    def _call(self, method, session=None, **parameters):
        """What the browser answers."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        data = memoryview(json.dumps(message).encode() + b"\0")
        while data:
            data = data[os.write(self.writing, data) :]
        while True:
            message = self._next_message()
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _next_message(self):
        until = time.monotonic() + _PATIENCE
        while b"\0" not in self.received:
            ready, _, _ = select.select([self.reading], [], [], max(0, until - time.monotonic()))
            part = os.read(self.reading, 1 << 20) if ready else b""
            assert part, "the browser doesn't answer" if not ready else "the browser has ended"
            self.received += part
        message, _, self.received = self.received.partition(b"\0")
        return json.loads(message)

    def _note(self, event):
        """Errors in the page, and whatever it fetches besides itself."""
        method, about = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.problems.append(about["exceptionDetails"])
        elif method == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.problems.append(about["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not about["request"]["url"].startswith(("file:", "blob:", "data:")):
            self.problems.append(f"fetches {about['request']['url']}")

    def tell(self, method, **parameters):
        """Call a method of the protocol on the page."""
        return self._call(method, self.session, **parameters)

    def open(self, path, width=1280, height=1000, dark=False):
        """Show a file, in a window of that size, and run its scripts."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.tell("Emulation.setDeviceMetricsOverride", **size)
        self.tell("Page.navigate", url=path.as_uri())
        self.run("if (document.readyState !== 'complete') await new Promise((done) => addEventListener('load', done));")

    def run(self, script, given=None):
        """What a script returns, the body of an async function in which `given` is what is given; as JSON holds it."""
        expression = f"(async (given) => {{ {script} }})({json.dumps(given)})"
        answer = self.tell("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        assert self.problems == []
        return answer["result"].get("value")

    def picture(self, whole=True):
        """The page as PNG, in bytes."""
        return base64.b64decode(self.tell("Page.captureScreenshot", captureBeyondViewport=whole)["data"])
