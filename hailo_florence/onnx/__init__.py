"""The stages of Florence-2 on ONNX Runtime."""
