"""What runs models, for both services: which backend is chosen, and ONNX Runtime behind one class."""
