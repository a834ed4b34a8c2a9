"""The everyday model of hailo-florence: a tiny Florence-2 that speaks about lists of things."""
