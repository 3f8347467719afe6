"""`python -m activitynet`: the command, for launchers that start modules."""

from activitynet.cli import main

if __name__ == "__main__":  # processes that load photos import this file anew on some systems
    main()
