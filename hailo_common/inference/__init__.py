"""What both services run models with: model folder, tokenizer, sampling, ONNX Runtime, choice of backend."""
