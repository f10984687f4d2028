# SPDX-License-Identifier: LGPL-2.1-or-later
"""Chromium without a window, told what to do over its debugging pipe (the Chrome DevTools Protocol: JSON ended by NUL)."""
import json
import os
import pathlib
import select
import shutil
import subprocess
import time


def chromium():
    return shutil.which("chromium")


class Browser:
    """profile: a folder of its own. Names of `allowlist` get tickets without a question; keys of `pins` (base64 of the SHA-256
    of a public key) make a certificate as good as an authority's."""

    def __init__(self, profile, env, allowlist, pins):
        profile = pathlib.Path(profile)
        profile.mkdir()
        # Chromium on Linux loads the GSS library, which its sandbox forbids later, only in a profile that has seen a server ask
        # for tickets before it was started: somebody's first visit of all.
        (profile / "Local State").write_text('{"net": {"received_http_auth_negotiate_headers": true}}')
        to_read, self.to = os.pipe()
        self.by, to_write = os.pipe()
        command = ["sh", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "sh", chromium(), "--headless", "--remote-debugging-pipe",
                   f"--user-data-dir={profile}", f"--auth-server-allowlist={allowlist}",
                   f"--ignore-certificate-errors-spki-list={','.join(pins)}", "--no-first-run", "--disable-gpu",
                   "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        if os.geteuid() == 0:
            command.append("--no-sandbox")
        with open(profile / "stderr", "w") as errors:
            self.process = subprocess.Popen(command, env=dict(env, HOME=str(profile)), pass_fds=(to_read, to_write),
                                            stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        os.close(to_read)
        os.close(to_write)
        self.text, self.last, self.events = b"", 0, []
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")

    def _message(self, end):
        while b"\0" not in self.text:
            assert select.select([self.by], [], [], max(0, end - time.monotonic()))[0], "the browser says nothing"
            chunk = os.read(self.by, 1 << 20)
            assert chunk, "the browser is gone"
            self.text += chunk
        text, _, self.text = self.text.partition(b"\0")
        return json.loads(text)

    def call(self, method, seconds=60, **params):
        self.last += 1
        request = {"id": self.last, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.to, json.dumps(request).encode() + b"\0")
        end = time.monotonic() + seconds
        while True:
            message = self._message(end)
            if message.get("id") == self.last:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message.get("method"))

    def open(self, url, seconds=60):
        """The text of the page, or the browser's error."""
        self.events.clear()
        error = self.call("Page.navigate", url=url).get("errorText")
        end = time.monotonic() + seconds
        while not error and "Page.loadEventFired" not in self.events:
            self.events.append(self._message(end).get("method"))
        return error or self.run("document.body.innerText")

    def run(self, script):
        """The value of an expression in the page, which may be a promise."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.by)
