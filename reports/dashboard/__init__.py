"""The dashboard: Streamlit pages over the MLflow store and folders that read records."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from qa_suite.core.extras import require
from reports.dashboard.hands import OPTIONS_VARIABLE, Options


def command(application: Path, port: int, headless: bool) -> list[str]:
    """Return the command that serves the dashboard, on this machine's loopback only.

    Parameters
    ----------
    application
        File that makes it, see :func:`reports.dashboard.serving.application`.
    port, headless
        As in :func:`launch`.
    """
    return [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(application),
        "--server.address=127.0.0.1",
        f"--server.port={port}",
        f"--server.headless={'true' if headless else 'false'}",
        "--server.fileWatcherType=none",
        "--server.showEmailPrompt=false",  # it would wait for an answer at the first start
        "--browser.gatherUsageStats=false",
        "--client.toolbarMode=minimal",
        "--client.showErrorDetails=none",
        "--theme.light.primaryColor=#1f4e79",
        "--theme.dark.primaryColor=#8fbce6",
    ]


def launch(application: Path, options: Options, *, port: int = 8501, headless: bool = False) -> int:
    """Serve the dashboard until it is interrupted; return its exit status.

    Parameters
    ----------
    application
        File that makes it.
    options
        How it is started; the process that serves reads them from its environment.
    port
        On 127.0.0.1.
    headless
        Whether to leave the browser closed.

    Raises
    ------
    InputError
        If Streamlit is not installed.
    """
    require("streamlit")
    environment = {
        **os.environ,
        "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
        OPTIONS_VARIABLE: options.model_dump_json(),
    }
    server = subprocess.Popen(command(application, port, headless), env=environment)
    # Whoever stops this command stops the server with it.
    previous = signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        return max(server.wait(), 0)
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        return 0
    finally:
        signal.signal(signal.SIGTERM, previous)
