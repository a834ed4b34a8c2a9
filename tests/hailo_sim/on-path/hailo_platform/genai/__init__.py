"""Language models on the chip; `LLM` and `Speech2Text` of the real package are left out."""

from hailo_platform.pyhailort.pyhailort import VLM, VDevice

__all__ = ["VLM", "VDevice"]
