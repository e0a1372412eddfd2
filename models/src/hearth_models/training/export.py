"""From fitted trees to one ONNX file that answers watts, and the proof that it answers the same."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

from hearth_core.errors import PermanentError
from hearth_models.arrays import Float32Array, FloatArray
from hearth_models.training.trees import QUANTILES, Rows, Trees

_INPUT, _OUTPUT = "features", "power_w"
# Largest difference between trees and ONNX that is rounding [share of the scale of corrections].
_PARITY_SHARE = 1e-3
_NARROWEST, _WIDEST = 0.3, 4.0
_FEWEST_ROWS = 50
# Held-out weeks are few and noisy: they may halve the correction, not throw it away.
_TRUSTS = (1.0, 0.75, 0.5)


class ParityError(PermanentError):
    """The converted model answers something else than the trained one."""


@dataclass(frozen=True)
class Calibration:
    """How far the median's correction of the baseline is trusted, and how far the outer quantiles are stretched.

    The trust is the one with the lowest absolute error on held-out days: at 0 the median would be the baseline. The
    stretches are split conformal prediction with the model's own spread as the score's unit (Romano, Patterson &
    Candes, "Conformalized quantile regression", NeurIPS 2019, in its scaled form), for each side by itself.
    """

    trust: float
    low: float
    high: float

    @classmethod
    def fit(cls, trees: Trees, rows: Rows) -> Calibration:
        """Find the stretches that make 80 % of held-out rows fall inside, 10 % beyond each side."""
        if len(rows) < _FEWEST_ROWS:
            return cls(1.0, 1.0, 1.0)
        raw = trees.raw(rows.table)
        truth = (rows.measured_w - rows.baseline_w) / trees.scale_w
        trust = min(_TRUSTS, key=lambda share: float(np.mean(np.abs(truth - share * raw[:, 1]))))
        middle = trust * raw[:, 1]
        below = np.maximum(raw[:, 1] - raw[:, 0], 1e-3)
        above = np.maximum(raw[:, 2] - raw[:, 1], 1e-3)
        low = float(np.quantile((middle - truth) / below, QUANTILES[2]))
        high = float(np.quantile((truth - middle) / above, QUANTILES[2]))
        return cls(trust, float(np.clip(low, _NARROWEST, _WIDEST)), float(np.clip(high, _NARROWEST, _WIDEST)))

    def matrix(self, scale_w: float) -> FloatArray:
        """Return what turns raw corrections (p10, p50, p90) into calibrated ones in watts, shape (3, 3)."""
        trust, low, high = self.trust, self.low, self.high
        stretch = np.array([[low, 0, 0], [trust - low, trust, trust - high], [0, 0, high]])
        return stretch * scale_w

    def apply(self, trees: Trees, table: Float32Array, baseline_w: FloatArray) -> FloatArray:
        """Return calibrated quantiles in watts, shape (n, 3); neither sorted nor cut at 0."""
        answer: FloatArray = trees.raw(table) @ self.matrix(trees.scale_w) + baseline_w[:, None]
        return answer


def to_onnx(trees: Trees, calibration: Calibration, baseline: int) -> bytes:
    """Build one graph: three tree ensembles side by side, the calibration, and the baseline column added.

    Args:
        trees: The fitted ensembles.
        calibration: How the outer quantiles are stretched.
        baseline: Which feature column the corrections are added to.

    Returns:
        The model's bytes: one float32 input (n, n_features), one float32 output (n, 3).
    """
    width = int(trees.models[0].n_features_in_)
    nodes, initializers, raw_names = [], [], []
    for index, model in enumerate(trees.models):
        with warnings.catch_warnings():
            # protobuf turns a deprecation warning about numpy integers, where it is an error, into "Value out of range"
            warnings.simplefilter("ignore", DeprecationWarning)
            part = convert_sklearn(model, initial_types=[(_INPUT, FloatTensorType([None, width]))])
        part = onnx.compose.add_prefix(part, f"q{index}_", rename_inputs=False)
        nodes += list(part.graph.node)
        initializers += list(part.graph.initializer)
        raw_names.append(part.graph.output[0].name)
    initializers += [
        numpy_helper.from_array(calibration.matrix(trees.scale_w).astype(np.float32), "calibration"),
        numpy_helper.from_array(np.array([baseline], dtype=np.int64), "baseline_column"),
    ]
    nodes += [
        helper.make_node("Concat", raw_names, ["raw"], axis=1),
        helper.make_node("MatMul", ["raw", "calibration"], ["correction_w"]),
        helper.make_node("Gather", [_INPUT, "baseline_column"], ["baseline_w"], axis=1),
        helper.make_node("Add", ["correction_w", "baseline_w"], [_OUTPUT]),
    ]
    graph = helper.make_graph(
        nodes,
        "hearth-quantiles",
        [helper.make_tensor_value_info(_INPUT, TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info(_OUTPUT, TensorProto.FLOAT, [None, len(QUANTILES)])],
        initializers,
    )
    opsets = {entry.domain: entry.version for entry in part.opset_import}
    whole = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    )
    whole.ir_version = part.ir_version
    onnx.checker.check_model(whole)
    return bytes(whole.SerializeToString())


def check_parity(model: bytes, trees: Trees, calibration: Calibration, rows: Rows) -> float:
    """Compare ONNX and trees on rows and return the largest difference [W].

    Raises:
        ParityError: It is more than rounding.
    """
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    answer = session.run(None, {_INPUT: rows.table})[0]
    expected = calibration.apply(trees, rows.table, rows.baseline_w)
    if answer.shape != expected.shape:
        raise ParityError(f"onnx answers shape {answer.shape}, the trees {expected.shape}")
    if not len(rows):
        return 0.0
    difference_w = float(np.max(np.abs(answer - expected)))
    allowed_w = _PARITY_SHARE * (trees.scale_w + float(np.max(np.abs(rows.baseline_w))))
    if not difference_w <= allowed_w:
        raise ParityError(f"onnx differs from the trees by {difference_w:.3g} W, allowed are {allowed_w:.3g} W")
    return difference_w
