import sys

from raylab.app.cli import main

if __name__ == "__main__":
    sys.exit(main(prog="python -m raylab"))
