"""What the repository of the tests is called, and what may be in it."""

from __future__ import annotations

import json
from typing import Any

REPOSITORY = "team/model"


def with_card(files: dict[str, bytes], **fields: Any) -> dict[str, bytes]:
    """Return a repository's files with another card, without what only timm reads of it."""
    card = json.loads(files["config.json"])
    for name in ("zoo", "num_classes", "label_names", "pretrained_cfg"):
        card.pop(name)
    card = {**card, "architecture": "timm/test_resnet", **fields}
    return {**files, "config.json": json.dumps(card).encode()}
