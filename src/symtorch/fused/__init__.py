"""Equations as fused tensor code: planned once, run in a few operations a batch."""
