"""The classes that are taken from a file without being allowed by name.

Of each it has been read what its compiled code does with what it holds. Where numpy and scipy check
for themselves what they are given, nothing needs to be checked here; where code trusts an index, a
count or a shape, `check.CHECKS` has a function for the class. A class that is not listed is refused
until the operator allows it by name: so one that a later scikit-learn adds, or that is only of use
while training, waits here until somebody has read it.

A class is named by its package's part and itself, since modules move from release to release.
"""

from __future__ import annotations

from typing import Final

from .guests import GUESTS

_SCIKIT_LEARN: Final = {
    "calibration": "CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration"
    " _TemperatureScaling",
    "cluster": "AffinityPropagation AgglomerativeClustering Birch BisectingKMeans DBSCAN"
    " FeatureAgglomeration HDBSCAN KMeans MeanShift MiniBatchKMeans OPTICS SpectralBiclustering"
    " SpectralClustering SpectralCoclustering _BisectingTree _CFNode _CFSubcluster",
    "compose": "ColumnTransformer TransformedTargetRegressor make_column_selector"
    " _RemainderColsList",
    "covariance": "EllipticEnvelope EmpiricalCovariance GraphicalLasso GraphicalLassoCV LedoitWolf"
    " MinCovDet OAS ShrunkCovariance",
    "cross_decomposition": "CCA PLSCanonical PLSRegression PLSSVD",
    "decomposition": "DictionaryLearning FactorAnalysis FastICA IncrementalPCA KernelPCA"
    " LatentDirichletAllocation MiniBatchDictionaryLearning MiniBatchNMF MiniBatchSparsePCA NMF PCA"
    " SparseCoder SparsePCA TruncatedSVD",
    "discriminant_analysis": "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis",
    "dummy": "DummyClassifier DummyRegressor",
    "ensemble": "AdaBoostClassifier AdaBoostRegressor BaggingClassifier BaggingRegressor"
    " ExtraTreesClassifier ExtraTreesRegressor GradientBoostingClassifier GradientBoostingRegressor"
    " HistGradientBoostingClassifier HistGradientBoostingRegressor IsolationForest"
    " RandomForestClassifier RandomForestRegressor RandomTreesEmbedding StackingClassifier"
    " StackingRegressor TreePredictor VotingClassifier VotingRegressor _BinMapper",
    "feature_extraction": "CountVectorizer DictVectorizer FeatureHasher HashingVectorizer"
    " PatchExtractor TfidfTransformer TfidfVectorizer",
    "feature_selection": "GenericUnivariateSelect RFE RFECV SelectFdr SelectFpr SelectFromModel"
    " SelectFwe SelectKBest SelectPercentile SequentialFeatureSelector VarianceThreshold",
    "frozen": "FrozenEstimator",
    "gaussian_process": "CompoundKernel ConstantKernel DotProduct Exponentiation ExpSineSquared"
    " GaussianProcessClassifier GaussianProcessRegressor Hyperparameter Matern PairwiseKernel"
    " Product RBF RationalQuadratic Sum WhiteKernel _BinaryGaussianProcessClassifierLaplace",
    "impute": "IterativeImputer KNNImputer MissingIndicator SimpleImputer _ImputerTriplet",
    "isotonic": "IsotonicRegression",
    "kernel_approximation": "AdditiveChi2Sampler Nystroem PolynomialCountSketch RBFSampler"
    " SkewedChi2Sampler",
    "kernel_ridge": "KernelRidge",
    "linear_model": "ARDRegression BayesianRidge Classification ElasticNet ElasticNetCV"
    " EpsilonInsensitive GammaRegressor Hinge Huber HuberRegressor Lars LarsCV Lasso LassoCV"
    " LassoLars LassoLarsCV LassoLarsIC LinearModelLoss LinearRegression Log LogisticRegression"
    " LogisticRegressionCV ModifiedHuber MultiTaskElasticNet MultiTaskElasticNetCV MultiTaskLasso"
    " MultiTaskLassoCV OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV"
    " PassiveAggressiveClassifier PassiveAggressiveRegressor Perceptron PoissonRegressor"
    " QuantileRegressor RANSACRegressor Regression Ridge RidgeCV RidgeClassifier RidgeClassifierCV"
    " SGDClassifier SGDOneClassSVM SGDRegressor SquaredEpsilonInsensitive SquaredHinge SquaredLoss"
    " TheilSenRegressor TweedieRegressor _IdentityClassifier _IdentityRegressor _RidgeGCV",
    "manifold": "ClassicalMDS Isomap LocallyLinearEmbedding MDS SpectralEmbedding TSNE",
    "metrics": " ".join(
        f"{name}{bits}"
        for bits in ("", 32, 64)
        for name in (
            *("BrayCurtisDistance", "CanberraDistance", "ChebyshevDistance", "DiceDistance"),
            *("EuclideanDistance", "HammingDistance", "HaversineDistance", "JaccardDistance"),
            *("KulsinskiDistance", "MahalanobisDistance", "ManhattanDistance", "MatchingDistance"),
            *("MinkowskiDistance", "PyFuncDistance", "RogersTanimotoDistance"),
            *("RussellRaoDistance", "SEuclideanDistance", "SokalMichenerDistance"),
            *("SokalSneathDistance", "WMinkowskiDistance"),
        )
    )
    + " _CurveScorer _MultimetricScorer _PassthroughScorer _PredictScorer _ProbaScorer _Scorer"
    " _ThresholdScorer",
    "mixture": "BayesianGaussianMixture GaussianMixture",
    "model_selection": "FixedThresholdClassifier GridSearchCV GroupKFold GroupShuffleSplit"
    " HalvingGridSearchCV HalvingRandomSearchCV KFold LeaveOneGroupOut LeaveOneOut LeavePGroupsOut"
    " LeavePOut ParameterGrid ParameterSampler PredefinedSplit RandomizedSearchCV RepeatedKFold"
    " RepeatedStratifiedKFold ShuffleSplit StratifiedGroupKFold StratifiedKFold"
    " StratifiedShuffleSplit TimeSeriesSplit TunedThresholdClassifierCV _CVIterableWrapper"
    " _SubsampleMetaSplitter",
    "multiclass": "OneVsOneClassifier OneVsRestClassifier OutputCodeClassifier _ConstantPredictor",
    "multioutput": "ClassifierChain MultiOutputClassifier MultiOutputRegressor RegressorChain",
    "naive_bayes": "BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB",
    "neighbors": "BallTree BallTree32 BallTree64 KDTree KDTree32 KDTree64 KNeighborsClassifier"
    " KNeighborsRegressor KNeighborsTransformer KernelDensity LocalOutlierFactor NearestCentroid"
    " NearestNeighbors NeighborhoodComponentsAnalysis RadiusNeighborsClassifier"
    " RadiusNeighborsRegressor RadiusNeighborsTransformer",
    "neural_network": "AdamOptimizer BernoulliRBM MLPClassifier MLPRegressor SGDOptimizer",
    "pipeline": "FeatureUnion Pipeline",
    "preprocessing": "Binarizer FunctionTransformer KBinsDiscretizer KernelCenterer LabelBinarizer"
    " LabelEncoder MaxAbsScaler MinMaxScaler MultiLabelBinarizer Normalizer OneHotEncoder"
    " OrdinalEncoder PolynomialFeatures PowerTransformer QuantileTransformer RobustScaler"
    " SplineTransformer StandardScaler TargetEncoder",
    "random_projection": "GaussianRandomProjection SparseRandomProjection",
    "semi_supervised": "LabelPropagation LabelSpreading SelfTrainingClassifier",
    "svm": "LinearSVC LinearSVR NuSVC NuSVR OneClassSVM SVC SVR",
    "tree": "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor"
    " Tree",
    "utils": "Bunch MetadataRequest MethodMetadataRequest",
    # Numbers alone.
    "_loss": "AbsoluteError CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss"
    " CyHalfMultinomialLoss CyHalfPoissonLoss CyHalfSquaredError CyHalfTweedieLoss"
    " CyHalfTweedieLossIdentity CyHuberLoss CyPinballLoss ExponentialLoss HalfBinomialLoss"
    " HalfBinomialLossArrayAPI HalfGammaLoss HalfLogitLink HalfMultinomialLoss"
    " HalfMultinomialLossArrayAPI HalfPoissonLoss HalfPoissonLossArrayAPI HalfSquaredError"
    " HalfTweedieLoss HalfTweedieLossIdentity HuberLoss IdentityLink Interval LogLink LogitLink"
    " MultinomialLogit PinballLoss",
}
_OTHERS: Final = {
    "numpy": {
        "random": "Generator MT19937 PCG64 PCG64DXSM Philox RandomState SFC64 SeedSequence",
    },
    "scipy": {
        "interpolate": "BSpline PPoly interp1d",
        "optimize": "OptimizeResult",
        "sparse": " ".join(
            f"{form}_{kind}"
            for form in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
            for kind in ("array", "matrix")
        ),
    },
    # Tables and their columns, all of them made by pandas itself (`reconstruct/frames.py`).
    "pandas": {
        "": "ArrowStringArray ArrowStringArrayNumpySemantics BooleanArray BooleanDtype Categorical"
        " CategoricalDtype CategoricalIndex DataFrame DatetimeArray DatetimeIndex DatetimeTZDtype"
        " Float32Dtype Float64Dtype FloatingArray Index Int16Dtype Int32Dtype Int64Dtype Int8Dtype"
        " IntegerArray Interval IntervalArray IntervalDtype IntervalIndex MultiIndex NAType NaTType"
        " NumpyEADtype NumpyExtensionArray RangeIndex Series StringArray"
        " StringArrayNumpySemantics StringDtype Timedelta TimedeltaArray TimedeltaIndex Timestamp"
        " UInt16Dtype UInt32Dtype UInt64Dtype UInt8Dtype"
        # Steps of a calendar.
        " BQuarterBegin BQuarterEnd BYearBegin BYearEnd BusinessDay BusinessMonthBegin"
        " BusinessMonthEnd Day Hour Micro Milli Minute MonthBegin MonthEnd Nano QuarterBegin"
        " QuarterEnd Second Week YearBegin YearEnd",
    },
}

KNOWN: Final = {
    package: frozenset(
        f"{part}.{name}".lstrip(".") for part, names in parts.items() for name in names.split()
    )
    for package, parts in {"sklearn": _SCIKIT_LEARN, **_OTHERS}.items()
}

MAY_LOOP: Final = frozenset({"_CFNode"})
"""The leaves of `Birch` are a list linked both ways, which nothing follows that predicts."""

LONG: Final = MAY_LOOP | {"_BisectingTree", "_CFSubcluster"}
"""Chains as long as there are clusters."""


def name_of(kind: type) -> str | None:
    """The name of a class here, such as `tree.Tree`; None where it is not listed. One of another
    library than scikit-learn and those below it has its full name."""
    package, _, rest = kind.__module__.partition(".")
    names = KNOWN.get(package)
    if names is None:
        full = f"{kind.__module__}.{kind.__qualname__}"
        return full if full in GUESTS else None
    part = "" if package == "pandas" else f"{rest.partition('.')[0]}."
    name = f"{part}{kind.__qualname__}"
    return name if name in names else None
