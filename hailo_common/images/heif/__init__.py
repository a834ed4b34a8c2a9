"""HEIC, the photographs of phones: its boxes and its codec's headers checked, decoded piece by piece."""
