"""Where the stages of Florence-2 run: ONNX Runtime on the CPU, or (later) HailoRT on the NPU."""
