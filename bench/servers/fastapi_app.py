"""The app of a tutorial: FastAPI, typed rows, and `predict` in the handler."""

import os
from typing import Any

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

model = joblib.load(os.environ["MODEL"])
dtype = os.environ["DTYPE"]
Row = list[float] if dtype == "float" else list[Any]
app = FastAPI()


class Rows(BaseModel):
    inputs: list[Row]  # type: ignore[valid-type]


class Answer(BaseModel):
    predictions: list[int | str]


@app.post("/predict")
async def predict(rows: Rows) -> Answer:
    found = model.predict(np.array(rows.inputs, dtype=dtype))
    return Answer(predictions=found.tolist())
