"""The app of a tutorial: Flask and `predict`."""

import os
from typing import Any

import joblib
import numpy as np
from flask import Flask, jsonify, request

model = joblib.load(os.environ["MODEL"])
dtype = os.environ["DTYPE"]
app = Flask(__name__)


@app.post("/predict")
def predict() -> Any:
    rows = np.array(request.get_json()["inputs"], dtype=dtype)
    return jsonify(predictions=model.predict(rows).tolist())
