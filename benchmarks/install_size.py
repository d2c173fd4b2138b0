"""How large an installation of the wheel is, in an environment of its own under a folder.

python -m benchmarks.install_size --folder /tmp/size
python -m benchmarks.install_size --folder /tmp/size --extras pdf,track
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def mib(folder: Path) -> float:
    """Return what the files of a folder take on disk, MiB."""
    found = (path.lstat() for path in folder.rglob("*"))
    return sum(one.st_blocks for one in found) * 512 / 2**20


def main() -> None:
    """Build the wheel, install it with the pinned packages, print the size and try the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="new; nothing is removed")
    parser.add_argument("--extras", default="", help="by comma")
    given = parser.parse_args()
    environment = given.folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    pip = [str(environment / "bin" / "python"), "-I", "-m", "pip", "--quiet"]  # not what lies here
    wheels = given.folder / "wheels"
    build = ["wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = wheels.glob("*.whl")
    what = f"{wheel}[{given.extras}]" if given.extras else str(wheel)
    pins = ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, "install", *pins, what], check=True)
    subprocess.run([str(environment / "bin" / "qa-suite"), "--version"], check=True)
    print(f"{mib(environment):.0f} MiB")


if __name__ == "__main__":
    main()
