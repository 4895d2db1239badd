from raylab.app.cli import run_module

if __name__ == "__main__":
    run_module("study")
