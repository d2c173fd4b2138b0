"""Debian's Chromium for tests that need a browser, and servers that it opens."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time

import pytest

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium() -> str:
    """Return Debian's Chromium, or skip; its absence fails where a browser is required."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("QA_SUITE_REQUIRE_BROWSER") == "1":
            pytest.fail("QA_SUITE_REQUIRE_BROWSER=1 and there is no chromium on the PATH")
        pytest.skip("no chromium on the PATH")
    return found


def free_port() -> int:
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(port: int, server: subprocess.Popen[bytes], seconds: float = 90) -> None:
    """Wait until the server answers."""
    for _ in range(int(seconds * 5)):
        assert server.poll() is None, "the dashboard stopped by itself"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(f"the dashboard did not answer within {seconds:.0f} s")
