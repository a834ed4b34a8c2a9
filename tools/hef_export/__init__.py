"""From a checkpoint to what Hailo's compiler needs."""
