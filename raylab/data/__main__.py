import sys

from raylab.app.cli import main

raise SystemExit(main(["data", *sys.argv[1:]]))
