"""Publish weights on the Hub, and load them on another machine, at exactly that commit.

    python examples/hub_push_and_pull.py WEIGHTS org/name [--private]

Log in before with `hf auth login`, or set HF_TOKEN. HF_ENDPOINT names another server than the Hub.
"""

from __future__ import annotations

import argparse
import sys

from activitynet import ActivityNetError, Classifier


def main() -> None:
    parser = argparse.ArgumentParser(description="Publish weights on the Hub and load them again.")
    parser.add_argument("weights", help="a weights folder, such as RUN/model")
    parser.add_argument("repository", help="org/name")
    parser.add_argument("--private", action="store_true", help="let nobody else see it")
    options = parser.parse_args()

    mine = Classifier.load(options.weights)
    source = mine.push_to_hub(options.repository, private=options.private or None, license="cc-by-4.0")
    print(f"pushed: {source}")

    # From here on it could be another machine. A commit never changes, so neither do these weights.
    theirs = Classifier.load(source)
    print(f"pulled: {', '.join(theirs.classes or ())}")


if __name__ == "__main__":
    try:
        main()
    except ActivityNetError as error:
        sys.exit(f"error: {error}")
