from __future__ import annotations

import pytest
from small_members import member
from torch import nn

from activitynet.weights import Card


@pytest.fixture
def members() -> list[tuple[nn.Module, Card]]:
    return [
        member("test_resnet_se", 0),
        member("test_efficientnet_se", 1, temperature=1.7),
        member("test_resnet_se", 2, classes=("run", "swim", "cook", "dance")),
    ]
