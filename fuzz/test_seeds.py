# SPDX-License-Identifier: MIT
"""Goal: every vector is where a fuzzer starts. Method: the seeds are made, and each vector is looked for in them."""

import functools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import run  # noqa: E402
import seeds  # noqa: E402


@functools.cache
def made(target):
    return list(seeds.SEEDS[target]())


def test_every_target_has_seeds():
    assert set(seeds.SEEDS) == set(run.targets())
    assert all(made(target) for target in seeds.SEEDS)


def test_every_stream_is_a_seed_of_its_role():
    for _, test in seeds.vectors("stream"):
        stream = bytes.fromhex(test["input"])
        assert any(seed.endswith(stream) for seed in made(f"session_{test['role']}")), test["id"]


def test_every_frame_seal_point_and_key_is_a_seed():
    where = {"frame": ("wire", "wire"), "seal": ("wire", "wire"), "point": ("peer", "differential_crypto")}
    for name, (field, target) in (where | {"kdf": ("x", "differential_crypto")}).items():
        every = made(target)
        for _, test in seeds.vectors(name):
            assert any(seed.endswith(bytes.fromhex(test[field])) for seed in every), test["id"]


def test_a_run_starts_from_the_seeds_as_they_are_now(tmp_path, monkeypatch):
    monkeypatch.setattr(seeds, "GENERATED", tmp_path)
    stale = tmp_path / "wire" / "stale"
    stale.parent.mkdir()
    stale.write_bytes(b"of an older vector")
    seeds.write(tmp_path)
    assert not stale.exists()
    assert tmp_path / "wire" in run.given("wire")
    assert len(list((tmp_path / "session_server").iterdir())) == len(set(made("session_server")))
