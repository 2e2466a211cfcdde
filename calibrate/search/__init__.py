"""Choosing hyper-parameters on the calibration half."""
