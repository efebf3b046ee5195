"""Types and functions of scikit-learn that a stored model may hold without a reader who names them.

skops trusts the estimators, not the parts that they hold when they are fitted. Those listed are written in Python: an
object of them is its attributes, whatever a file says these are, and a call runs the code of scikit-learn over numpy
arrays. Left out are types that

* make code of texts (the distributions of ``scipy.stats``, which a randomized search may hold);
* compiled code believes without a check of ours (splines of SciPy, the tree of ``BisectingKMeans``).
"""

from __future__ import annotations

from typing import Final

__all__ = ["PLAIN_TYPES"]

_NAMES: Final = {
    "numpy": "dtype mean median",
    "scipy.sparse._csr": "csr_matrix",
    "sklearn._loss.loss": "HalfTweedieLoss HalfTweedieLossIdentity",
    "sklearn.calibration": "_CalibratedClassifier _SigmoidCalibration",
    "sklearn.feature_selection._mutual_info": "mutual_info_classif mutual_info_regression",
    "sklearn.feature_selection._univariate_selection": "chi2 f_classif f_oneway f_regression r_regression",
    "sklearn.gaussian_process._gpc": "_BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels": "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation "
    "Hyperparameter Matern PairwiseKernel Product RBF RationalQuadratic Sum WhiteKernel",
    "sklearn.impute._iterative": "_ImputerTriplet",
    "sklearn.metrics._classification": "accuracy_score balanced_accuracy_score brier_score_loss cohen_kappa_score "
    "d2_brier_score d2_log_loss_score "
    "f1_score fbeta_score hamming_loss jaccard_score log_loss matthews_corrcoef precision_score recall_score "
    "zero_one_loss",
    "sklearn.metrics._ranking": "average_precision_score ndcg_score roc_auc_score top_k_accuracy_score",
    "sklearn.metrics._regression": "d2_absolute_error_score explained_variance_score max_error mean_absolute_error "
    "mean_absolute_percentage_error mean_gamma_deviance mean_pinball_loss mean_poisson_deviance mean_squared_error "
    "mean_squared_log_error mean_tweedie_deviance median_absolute_error r2_score root_mean_squared_error "
    "root_mean_squared_log_error",
    "sklearn.metrics._scorer": "_MultimetricScorer _PassthroughScorer _Scorer "
    "negative_likelihood_ratio positive_likelihood_ratio",
    "sklearn.metrics.cluster._supervised": "adjusted_mutual_info_score adjusted_rand_score completeness_score "
    "fowlkes_mallows_score homogeneity_score mutual_info_score normalized_mutual_info_score rand_score v_measure_score",
    "sklearn.model_selection._split": "GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut LeaveOneOut "
    "LeavePGroupsOut LeavePOut PredefinedSplit RepeatedKFold RepeatedStratifiedKFold ShuffleSplit "
    "StratifiedGroupKFold StratifiedKFold StratifiedShuffleSplit TimeSeriesSplit _CVIterableWrapper",
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    "sklearn.utils._bunch": "Bunch",
}

PLAIN_TYPES: Final = frozenset(f"{module}.{name}" for module, names in _NAMES.items() for name in names.split())
"""Their names, as skops reports them."""
