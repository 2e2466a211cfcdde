"""Afternorm: tune the BatchNorm of an already trained model, prove that it helped, ship it as ONNX."""
