"""Classes of other libraries that are taken from a file without being allowed by name.

They are those of the extra `guests` that predict or transform, and samplers, which do nothing when
a pipeline predicts. Each is named by its very module, and of each it has been read what it does
with what it holds: they compute with numpy and pandas, which check for themselves what they are
given. The models that XGBoost and LightGBM compile are checked before these see them (`boosters/`).

Not here: CatBoost, for whose models there is no check; what starts processes (`HashingEncoder`) or
calls what it finds by a name of the file (`WindowFeatures`, `ExpandingWindowFeatures`).
"""

from __future__ import annotations

from typing import Any, Final

from .faults import MISSING, Wrong, count, equal, own, shown
from .functions import jobs

EXTRA: Final = "guests"
"""The extra that brings them."""

_XGBOOST: Final = {
    "core": "Booster",
    "callback": "EarlyStopping",
    "sklearn": "XGBClassifier XGBRFClassifier XGBRFRegressor XGBRegressor",
}
_LIGHTGBM: Final = {
    "basic": "Booster",
    "sklearn": "LGBMClassifier LGBMRegressor",
}
_IMBLEARN: Final = {
    "base": "FunctionSampler",
    "combine._smote_enn": "SMOTEENN",
    "combine._smote_tomek": "SMOTETomek",
    "ensemble._bagging": "BalancedBaggingClassifier",
    "ensemble._easy_ensemble": "EasyEnsembleClassifier",
    "ensemble._forest": "BalancedRandomForestClassifier",
    "ensemble._weight_boosting": "RUSBoostClassifier",
    "metrics.pairwise": "ValueDifferenceMetric",
    "over_sampling._adasyn": "ADASYN",
    "over_sampling._random_over_sampler": "RandomOverSampler",
    "over_sampling._smote.base": "SMOTE SMOTEN SMOTENC",
    "over_sampling._smote.cluster": "KMeansSMOTE",
    "over_sampling._smote.filter": "BorderlineSMOTE SVMSMOTE",
    "pipeline": "Pipeline",
    "under_sampling._prototype_generation._cluster_centroids": "ClusterCentroids",
    "under_sampling._prototype_selection._condensed_nearest_neighbour": "CondensedNearestNeighbour",
    "under_sampling._prototype_selection._edited_nearest_neighbours": "AllKNN"
    " EditedNearestNeighbours RepeatedEditedNearestNeighbours",
    "under_sampling._prototype_selection._instance_hardness_threshold": "InstanceHardnessThreshold",
    "under_sampling._prototype_selection._nearmiss": "NearMiss",
    "under_sampling._prototype_selection._neighbourhood_cleaning_rule": "NeighbourhoodCleaningRule",
    "under_sampling._prototype_selection._one_sided_selection": "OneSidedSelection",
    "under_sampling._prototype_selection._random_under_sampler": "RandomUnderSampler",
    "under_sampling._prototype_selection._tomek_links": "TomekLinks",
}
_CATEGORY_ENCODERS: Final = {
    "backward_difference": "BackwardDifferenceEncoder",
    "basen": "BaseNEncoder",
    "binary": "BinaryEncoder",
    "cat_boost": "CatBoostEncoder",
    "count": "CountEncoder",
    "count_target": "CountTargetEncoder",
    "glmm": "GLMMEncoder",
    "gray": "GrayEncoder",
    "helmert": "HelmertEncoder",
    "james_stein": "JamesSteinEncoder",
    "leave_one_out": "LeaveOneOutEncoder",
    "m_estimate": "MEstimateEncoder",
    "multi_hot": "MultiHotEncoder",
    "one_hot": "OneHotEncoder",
    "ordinal": "OrdinalEncoder",
    "polynomial": "PolynomialEncoder",
    "quantile_encoder": "QuantileEncoder SummaryEncoder",
    "rankhot": "RankHotEncoder",
    "sum_coding": "SumEncoder",
    "target_encoder": "TargetEncoder",
    "woe": "WOEEncoder",
    "wrapper": "PolynomialWrapper",
}
_FEATURE_ENGINE: Final = {
    "_prediction.target_mean_classifier": "TargetMeanClassifier",
    "_prediction.target_mean_regressor": "TargetMeanRegressor",
    "creation.cyclical_features": "CyclicalFeatures",
    "creation.decision_tree_features": "DecisionTreeFeatures",
    "creation.geo_features": "GeoDistanceFeatures",
    "creation.math_features": "MathFeatures",
    "creation.relative_features": "RelativeFeatures",
    "datetime.datetime": "DatetimeFeatures",
    "datetime.datetime_ordinal": "DatetimeOrdinal",
    "datetime.datetime_subtraction": "DatetimeSubtraction",
    "discretisation.arbitrary": "ArbitraryDiscretiser",
    "discretisation.decision_tree": "DecisionTreeDiscretiser",
    "discretisation.equal_frequency": "EqualFrequencyDiscretiser",
    "discretisation.equal_width": "EqualWidthDiscretiser",
    "discretisation.geometric_width": "GeometricWidthDiscretiser",
    "encoding.count_frequency": "CountFrequencyEncoder",
    "encoding.decision_tree": "DecisionTreeEncoder",
    "encoding.mean_encoding": "MeanEncoder",
    "encoding.one_hot": "OneHotEncoder",
    "encoding.ordinal": "OrdinalEncoder",
    "encoding.rare_label": "RareLabelEncoder",
    "encoding.similarity_encoder": "StringSimilarityEncoder",
    "encoding.woe": "WoEEncoder",
    "imputation.arbitrary_number": "ArbitraryNumberImputer",
    "imputation.categorical": "CategoricalImputer",
    "imputation.drop_missing_data": "DropMissingData",
    "imputation.end_tail": "EndTailImputer",
    "imputation.mean_median": "MeanMedianImputer",
    "imputation.missing_indicator": "AddMissingIndicator",
    "imputation.random_sample": "RandomSampleImputer",
    "outliers.artbitrary": "ArbitraryOutlierCapper",
    "outliers.trimmer": "OutlierTrimmer",
    "outliers.winsorizer": "Winsorizer",
    "pipeline.pipeline": "Pipeline",
    "preprocessing.match_categories": "MatchCategories",
    "preprocessing.match_columns": "MatchVariables",
    "scaling.mean_normalization": "MeanNormalizationScaler",
    "selection.drop_constant_features": "DropConstantFeatures",
    "selection.drop_correlated_features": "DropCorrelatedFeatures",
    "selection.drop_duplicate_features": "DropDuplicateFeatures",
    "selection.drop_features": "DropFeatures",
    "selection.drop_psi_features": "DropHighPSIFeatures",
    "selection.information_value": "SelectByInformationValue",
    "selection.mrmr": "MRMR",
    "selection.probe_feature_selection": "ProbeFeatureSelection",
    "selection.recursive_feature_addition": "RecursiveFeatureAddition",
    "selection.recursive_feature_elimination": "RecursiveFeatureElimination",
    "selection.shuffle_features": "SelectByShuffling",
    "selection.single_feature_performance": "SelectBySingleFeaturePerformance",
    "selection.smart_correlation_selection": "SmartCorrelatedSelection",
    "selection.target_mean_selection": "SelectByTargetMeanPerformance",
    "text.text_features": "TextFeatures",
    "timeseries.forecasting.lag_features": "LagFeatures",
    "transformation.arcsin": "ArcsinTransformer",
    "transformation.arcsinh": "ArcSinhTransformer",
    "transformation.boxcox": "BoxCoxTransformer",
    "transformation.log": "LogCpTransformer LogTransformer",
    "transformation.power": "PowerTransformer",
    "transformation.reciprocal": "ReciprocalTransformer",
    "transformation.yeojohnson": "YeoJohnsonTransformer",
    "wrappers.wrappers": "SklearnTransformerWrapper",
}

GUESTS: Final = frozenset(
    f"{package}.{module}.{name}"
    for package, modules in {
        "xgboost": _XGBOOST,
        "lightgbm": _LIGHTGBM,
        "imblearn": _IMBLEARN,
        "category_encoders": _CATEGORY_ENCODERS,
        "feature_engine": _FEATURE_ENGINE,
    }.items()
    for module, names in modules.items()
    for name in names.split()
)
"""By the full name."""
PACKAGES: Final = frozenset(name.partition(".")[0] for name in GUESTS)
INSTALLABLE: Final = PACKAGES | {"catboost"}
"""What the extra brings."""
BOOSTERS: Final = frozenset({"xgboost.core.Booster", "lightgbm.basic.Booster"})
"""What is compiled. Their bytes are checked where they are read, and nowhere else."""

# What estimators hold --------------------------------------------------------------

AGGREGATES: Final = (
    *("count", "kurt", "max", "mean", "median", "min", "nunique", "prod", "sem", "skew", "std"),
    *("sum", "var"),
)
THREADS: Final = ("n_jobs", "nthread", "nthreads", "num_thread", "num_threads")


def xgboost_estimator(value: Any) -> None:
    """Its booster is one, and as many classes come out of it as it says."""
    booster = own(value, "_Booster")
    if booster in (MISSING, None):
        return
    _require_booster(booster, "xgboost.core")
    if own(value, "n_classes_") is not MISSING:
        count(value, "n_classes_", 1)


def lightgbm_estimator(value: Any) -> None:
    """Its booster is one of as many columns as it says, and what it is told for each prediction
    starts no more threads than there are processors, and lets no row be of another width."""
    for holder in (vars(value), own(value, "_other_params")):
        if holder is MISSING:
            continue
        if type(holder) is not dict:
            raise Wrong("its _other_params are no dict")
        for name in THREADS:
            if name in holder:
                holder[name] = jobs(holder[name])
        if "predict_disable_shape_check" in holder:
            raise Wrong("it has LightGBM take rows of any width")
    booster = own(value, "_Booster")
    if booster in (MISSING, None):
        return
    _require_booster(booster, "lightgbm.basic")
    equal(count(value, "_n_features"), booster.num_feature(), "its _n_features")


def _require_booster(booster: Any, module: str) -> None:
    kind = type(booster)
    if (kind.__module__, kind.__qualname__) != (module, "Booster"):
        raise Wrong(f"its _Booster is of class {kind.__name__}")


def aggregates(value: Any) -> None:
    """`MathFeatures` has pandas call a method by its name, some of which start programs."""
    told = own(value, "func")
    for each in told if isinstance(told, list) else [told]:
        if isinstance(each, str) and each not in AGGREGATES:
            raise Wrong(f"it calls {shown(each)}, which is not one of {', '.join(AGGREGATES)}")
