"""The least that a Quart app can do which predicts: read the row, add its values up with numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from quart import Quart, request

app = Quart(__name__)


@app.post("/")
async def predict() -> dict[str, Any]:
    row = await request.get_json()
    return {"prediction": float(np.array(list(row.values()), dtype=np.float64).sum())}
