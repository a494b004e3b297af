"""`python -m nvn` is the command `nvn`."""

from nvn.cli import main

if __name__ == "__main__":
    main()
