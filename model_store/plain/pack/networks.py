"""Multi-layer perceptrons."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..node import Predictor
from ..nodes.networks import Layers, NetworkClasses, NetworkNumbers, NetworkTargets
from .given import Given
from .known import Inner, Known
from .linear import classes_of

_NETWORK: Final = (
    "activation alpha batch_size beta_1 beta_2 early_stopping epsilon hidden_layer_sizes"
    " learning_rate learning_rate_init max_fun max_iter momentum n_iter_no_change"
    " nesterovs_momentum power_t random_state shuffle solver tol validation_fraction verbose"
    " warm_start"
)


def regressor(step: Any, given: Given, inner: Inner) -> Predictor:
    return NetworkNumbers(layers=_layers(step))


def classifier(step: Any, given: Given, inner: Inner) -> Predictor:
    if step._label_binarizer.y_type_.startswith("multilabel"):
        return NetworkTargets(layers=_layers(step))
    return NetworkClasses(classes=classes_of(step), layers=_layers(step))


def _layers(step: Any) -> Layers:
    return Layers(
        weights=[np.asarray(weights) for weights in step.coefs_],
        biases=[np.asarray(biases) for biases in step.intercepts_],
        hidden=step.activation,
        output=step.out_activation_,
    )


PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "sklearn.MLPClassifier": Known.of(classifier, _NETWORK),
    "sklearn.MLPRegressor": Known.of(regressor, _NETWORK, "loss"),
}
