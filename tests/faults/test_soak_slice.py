"""A slice of the soak: 500 orders and 40 faults of every kind that needs no root, on a stack of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from stack import commands, testing
from stack.layout import ROOT

ORDERS, FAULTS, SEED = 500, 40, 1
#: Of the faults, SIGKILLs at the least: a process may be restarting when its turn comes.
KILLS = 12
#: On a quiet machine it takes two minutes and a half.
PATIENT_SECONDS = 1800


def test_five_hundred_orders_under_forty_faults_keep_every_promise(tmp_path: Path):
    place = testing.layout().directory.with_name("soak-slice")
    size = ["--orders", str(ORDERS), "--faults", str(FAULTS), "--seed", str(SEED), "--results", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.soak", *size],
        cwd=ROOT,
        env=commands.plain_environment() | {"STACK_DIR": str(place)},
        capture_output=True,
        text=True,
        timeout=PATIENT_SECONDS,
        check=False,
    )

    assert done.stdout, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["violations"] == []
    assert done.returncode == 0, done.stderr
    assert {name: result[name] for name in ("lost", "doubled", "out_of_order", "unfinished")} == {
        "lost": 0,
        "doubled": 0,
        "out_of_order": 0,
        "unfinished": 0,
    }
    assert (result["orders"], result["faults"]) == (ORDERS, FAULTS)
    assert result["kills"] >= KILLS
