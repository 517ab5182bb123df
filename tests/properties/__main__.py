"""Draw pipelines, and report all that is answered wrongly: each kind with its smallest example.

    SEED=5 python -m tests.properties PIPELINES

The tests stop at the first pipeline that is answered wrongly; this goes on.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from .pipelines import SEEDS, Fitted, plan_of
from .served import served
from .verdicts import Fault, Tally, Trial, kind_of


def survey(root: Path, seed: int, pipelines: int) -> Tally:
    """So many pipelines that scikit-learn takes, each asked at each door."""
    random, tally, done = np.random.default_rng(seed), Tally(), 0
    with served(root) as running:
        while done < pipelines:
            plan = plan_of(int(random.integers(SEEDS)), int(random.integers(1, 16)))
            try:
                fitted = Fitted.of(plan)
            except Exception:
                continue
            Trial(fitted, tally, everywhere=False).run(running, f"p{done}")
            done += 1
    return tally


def cause(fault: Fault, wrong_in_training: bool) -> str:
    """What a fault has in common with others."""
    plan = fault.fitted.plan
    if fault.question is None or wrong_in_training:
        place = "rows of training" if wrong_in_training else fault.door.partition(",")[0]
        return f"{fault.kind}: {plan.container}, {plan.shape}, {place}"
    odd = fault.question.odd
    dtypes = {each.name: each.dtype.name for each in plan.columns}
    of = dtypes[next(iter(odd))] if len(odd) == 1 else "several columns"
    return f"{fault.kind}: {kind_of(odd.values())}, {of}, {plan.container}"


def report(tally: Tally) -> str:
    """The kinds of faults, those of most pipelines first."""
    by_pipeline: dict[int, list[Fault]] = defaultdict(list)
    for fault in tally.faults:
        by_pipeline[id(fault.fitted)].append(fault)
    groups: dict[str, list[Fault]] = defaultdict(list)
    for faults in by_pipeline.values():
        # What is wrong for rows of training explains all the rest.
        trained = [each for each in faults if each.question is not None and not each.question.odd]
        for fault in trained or faults:
            groups[cause(fault, bool(trained))].append(fault)
    lines = [str(tally), f"{len(tally.faults)} faults in {len(by_pipeline)} pipelines"]
    counts = {kind: len({id(each.fitted) for each in found}) for kind, found in groups.items()}
    for kind, found in sorted(groups.items(), key=lambda item: -counts[item[0]]):
        doors = Counter(fault.door.partition(",")[0] for fault in found)
        told = ", ".join(f"{door} {number}" for door, number in doors.most_common())
        lines += ["", f"## {counts[kind]} pipelines, {len(found)} answers: {kind} ({told})"]
        lines.append(str(min(found, key=lambda fault: (len(fault.fitted.columns), fault.size))))
    return "\n".join(lines)


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable()
    seed = int(os.environ.get("SEED", "1"))
    with tempfile.TemporaryDirectory() as root:
        print(report(survey(Path(root), seed, int(sys.argv[1]))))


if __name__ == "__main__":
    main()
