from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activitynet.doctor.privacy import HIDDEN, without_secrets
from activitynet.doctor.surroundings import environment

SECRETS = ("hf_abcdefghijklmnop", "hunter2", "s3cr3t")


def test_variables_are_told_without_what_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    home = str(Path.home())
    for name, value in {
        "HF_TOKEN": "s3cr3t",
        "ACTIVITYNET_WEIGHTS": f"{home}/weights",
        "ACTIVITYNET_API_KEY": "hunter2",
        "HF_ENDPOINT": "https://me:hunter2@hub.example/api?token=s3cr3t",
        "HTTPS_PROXY": "http://me:hunter2@proxy.example:3128",
        "TORCH_HOME": f"{home}2/hf_abcdefghijklmnop",
        "SOMETHING_ELSE": "not asked for",
    }.items():
        monkeypatch.setenv(name, value)
    told = without_secrets(environment())
    assert told["HF_TOKEN"] == told["ACTIVITYNET_API_KEY"] == HIDDEN
    assert told["ACTIVITYNET_WEIGHTS"] == "~/weights"
    assert told["HTTPS_PROXY"] == "http://…@proxy.example:3128"
    assert told["HF_ENDPOINT"].startswith("https://…@hub.example/api")
    assert told["TORCH_HOME"].startswith(f"{home}2/")
    assert "SOMETHING_ELSE" not in told
    assert not any(secret in str(told) for secret in SECRETS)


@given(before=st.text(), after=st.text(), secret=st.sampled_from(SECRETS[:1]))
def test_a_token_is_found_wherever_it_stands(before: str, after: str, secret: str) -> None:
    told = without_secrets({"a": [f"{before} {secret} {after}"], "b": 1, "c": None})
    assert secret not in str(told["a"])
    assert (told["b"], told["c"]) == (1, None)


@given(text=st.text())
def test_what_is_told_can_be_pasted_anywhere(text: str) -> None:
    assert without_secrets(text).isprintable()
