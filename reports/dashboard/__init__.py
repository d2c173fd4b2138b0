"""The dashboard: Streamlit pages over the MLflow store that read records."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

APP = Path(__file__).parent / "app.py"


def command(port: int, headless: bool) -> list[str]:
    """Return the command that serves the dashboard, on this machine's loopback only."""
    return [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(APP),
        "--server.address=127.0.0.1",
        f"--server.port={port}",
        f"--server.headless={'true' if headless else 'false'}",
        "--server.fileWatcherType=none",
        "--browser.gatherUsageStats=false",
        "--client.toolbarMode=minimal",
        "--theme.base=light",
        "--theme.primaryColor=#1f4e79",
    ]


def launch(port: int = 8501, headless: bool = False) -> int:
    """Serve the dashboard until it is interrupted; return its exit status.

    Parameters
    ----------
    port
        On 127.0.0.1.
    headless
        Whether to leave the browser closed.
    """
    environment = {**os.environ, "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false"}
    try:
        return subprocess.run(command(port, headless), env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 0
