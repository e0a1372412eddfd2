"""Learning a home's own load and PV from its history: quantile trees, calibrated, scored and checked against ONNX."""

from hearth_models.training.train import TrainedModel, TrainingError, train

__all__ = ["TrainedModel", "TrainingError", "train"]
